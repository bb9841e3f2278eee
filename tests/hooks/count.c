/* count RESULT CALL PROGRAM ARGUMENT...: runs PROGRAM, from its first system call with the number CALL
   on step by step, and writes into RESULT how many instructions it executed from there. For what
   valgrind cannot follow; a step takes some hundred times longer than under valgrind. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long steps = 0;
    int status, counting = 0;
    pid_t child;
    struct user_regs_struct registers;
    if (argc < 4 || (child = fork()) < 0) return 2;
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[3], argv + 3);
        _exit(2);
    }
    if (waitpid(child, &status, 0) < 0) return 2;
    while (WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        if (!counting && !signal && !ptrace(PTRACE_GETREGS, child, 0, &registers))
            counting = (long)registers.orig_rax == atol(argv[2]);
        steps += counting;
        if (ptrace(counting ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, child, 0, signal)) return 2;
        if (waitpid(child, &status, 0) < 0) return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out || fprintf(out, "%ld\n", steps) < 0 || fclose(out)) return 2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
