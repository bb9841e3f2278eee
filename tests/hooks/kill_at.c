/* kill_at N PROGRAM ARGUMENT...: runs PROGRAM and kills it with SIGKILL when it enters its N-th system
   call. Exit code 0: it was killed. 1: it had ended by itself before. */
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int status, left = argc > 2 ? atoi(argv[1]) : 0;
    pid_t child;
    if (argc < 3 || (child = fork()) < 0) return 2;
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[2], argv + 2);
        _exit(2);
    }
    if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) return 2;
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int entering = 1, signal = 0;;) {
        ptrace(PTRACE_SYSCALL, child, 0, signal);
        if (waitpid(child, &status, 0) < 0) return 2;
        if (WIFEXITED(status) || WIFSIGNALED(status)) return 1;
        signal = 0;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            signal = WSTOPSIG(status);
            continue;
        }
        if (entering && --left == 0) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return 0;
        }
        entering = !entering;
    }
}
