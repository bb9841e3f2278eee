/* fail_at list FILE PROGRAM ARGUMENT...: runs PROGRAM and writes into FILE what could be done to it, a line each: the
   number of a system call, its name, an error it may well return, or KILL.
   fail_at N ERROR FILE PROGRAM ARGUMENT...: runs PROGRAM, has its N-th system call return ERROR without being carried
   out, or kills it there; FILE then holds the call's number. The exit code is the program's, 128 more for a signal.

   Counted are the calls of PROGRAM and of what it starts, up to where one becomes a program that is not ours. With
   AFTER_PRCTL, from the first prctl(PR_SET_DUMPABLE) on: what is before is the loader's. With CANARY, a file: says
   whether its content is in the memory of a program that ends by itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <unistd.h>

static const struct { const char *name; int number; } errors[] = {
    {"EPERM", EPERM}, {"EIO", EIO}, {"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EBUSY", EBUSY},
    {"EMFILE", EMFILE}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EINTR", EINTR}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL},
    {"ENOLCK", ENOLCK}, {"KILL", 0}, {NULL, 0}};

/* Errors that a call may well return; KILL where something outside of the process changes. */
static const struct { long call; const char *name, *faults; } table[] = {
    {SYS_read, "read", "EIO"}, {SYS_write, "write", "ENOSPC EIO KILL"}, {SYS_pwrite64, "pwrite64", "ENOSPC EIO KILL"},
    {SYS_close, "close", "EIO"}, {SYS_fstat, "fstat", "ENOMEM"}, {SYS_newfstatat, "newfstatat", "EIO"},
    {SYS_stat, "stat", "EIO"}, {SYS_lstat, "lstat", "EIO"}, {SYS_statx, "statx", "ENOSYS EIO"},
    {SYS_statfs, "statfs", "EIO"}, {SYS_fstatfs, "fstatfs", "EIO"}, {SYS_lseek, "lseek", "EINVAL"},
    {SYS_mmap, "mmap", "ENOMEM"}, {SYS_brk, "brk", "ENOMEM"}, {SYS_mremap, "mremap", "ENOMEM"},
    {SYS_readlink, "readlink", "EIO"}, {SYS_readlinkat, "readlinkat", "EIO"}, {SYS_getdents64, "getdents64", "EIO"},
    {SYS_mkdir, "mkdir", "ENOSPC KILL"}, {SYS_mkdirat, "mkdirat", "EROFS KILL"}, {SYS_rmdir, "rmdir", "EBUSY KILL"},
    {SYS_unlink, "unlink", "EROFS KILL"}, {SYS_unlinkat, "unlinkat", "EIO KILL"}, {SYS_rename, "rename", "ENOSPC KILL"},
    {SYS_renameat, "renameat", "EIO KILL"}, {SYS_renameat2, "renameat2", "ENOSYS KILL"},
    {SYS_symlink, "symlink", "ENOSPC KILL"}, {SYS_symlinkat, "symlinkat", "ENOSPC KILL"}, {SYS_link, "link", "EROFS KILL"},
    {SYS_linkat, "linkat", "EROFS KILL"}, {SYS_chmod, "chmod", "EROFS"}, {SYS_fchmod, "fchmod", "EIO"},
    {SYS_fchown, "fchown", "EIO KILL"}, {SYS_fchownat, "fchownat", "EROFS KILL"}, {SYS_utimensat, "utimensat", "EROFS"},
    {SYS_ftruncate, "ftruncate", "ENOSPC KILL"}, {SYS_fallocate, "fallocate", "ENOSPC"}, {SYS_fsync, "fsync", "EIO KILL"},
    {SYS_fdatasync, "fdatasync", "EIO"}, {SYS_flock, "flock", "EINTR ENOLCK KILL"}, {SYS_getrandom, "getrandom", "ENOSYS"},
    {SYS_memfd_create, "memfd_create", "ENOSYS EMFILE"}, {SYS_fcntl, "fcntl", "EMFILE"}, {SYS_pipe2, "pipe2", "EMFILE"},
    {SYS_socket, "socket", "EMFILE"}, {SYS_socketpair, "socketpair", "EMFILE"}, {SYS_sendto, "sendto", "EAGAIN"},
    {SYS_poll, "poll", "EINTR"}, {SYS_ppoll, "ppoll", "EINTR"}, {SYS_wait4, "wait4", "EINTR"},
    {SYS_waitid, "waitid", "EINTR"}, {SYS_rt_sigtimedwait, "rt_sigtimedwait", "EINTR KILL"},
    {SYS_clone, "clone", "EAGAIN"}, {SYS_clone3, "clone3", "ENOSYS EAGAIN"}, {SYS_fork, "fork", "EAGAIN"},
    {SYS_vfork, "vfork", "EAGAIN"}, {SYS_execve, "execve", "EACCES KILL"}, {SYS_setns, "setns", "EPERM KILL"},
    {SYS_openat2, "openat2", "ENOSYS EMFILE"}, {SYS_open_tree, "open_tree", "ENOSYS EMFILE"},
    {SYS_move_mount, "move_mount", "ENOSYS EINVAL KILL"}, {SYS_mount_setattr, "mount_setattr", "ENOSYS EINVAL"},
    {SYS_fsopen, "fsopen", "ENOSYS EPERM"}, {SYS_fsconfig, "fsconfig", "ENOSYS EINVAL"}, {SYS_fsmount, "fsmount", "ENOSYS"},
    {SYS_umount2, "umount2", "EBUSY KILL"}, {SYS_pidfd_open, "pidfd_open", "ENOSYS EMFILE"},
    {SYS_close_range, "close_range", "ENOSYS"}, {SYS_unshare, "unshare", "ENOMEM"}, {SYS_prctl, "prctl", "EINVAL"},
    {SYS_capget, "capget", "EPERM"}, {SYS_capset, "capset", "EPERM"}, {SYS_prlimit64, "prlimit64", "EPERM"},
    {SYS_setgroups, "setgroups", "EPERM"}, {SYS_lsetxattr, "lsetxattr", "ENOSPC"}, {SYS_ioctl, "ioctl", "EINVAL"},
    {0, NULL, NULL}};

static pid_t known[64], below[16];
static int below_count, counting, failing[64], known_count, wanted, error;
static long counter, every = -1;
static FILE *out;

static int place(pid_t pid) {
    for (int i = 0; i < known_count; i++) if (known[i] == pid) return i;
    return -1;
}

static void list(const struct ptrace_syscall_info *info) {
    for (int i = 0; table[i].name; i++) {
        if (table[i].call != (long)info->entry.nr) continue;
        char faults[64], *each;
        snprintf(faults, sizeof faults, "%s", table[i].faults);
        for (each = strtok(faults, " "); each; each = strtok(NULL, " ")) fprintf(out, "%ld %s %s\n", counter, table[i].name, each);
    }
    int making = info->entry.nr == SYS_openat && info->entry.args[2] & O_CREAT;
    making |= info->entry.nr == SYS_open && info->entry.args[1] & O_CREAT;
    if (making) fprintf(out, "%ld openat ENOSPC\n%ld openat KILL\n", counter, counter);
    else if (info->entry.nr == SYS_openat || info->entry.nr == SYS_open) fprintf(out, "%ld openat EMFILE\n", counter);
}

/* Whether the canary is somewhere in the memory that the process can write to. */
static int remembers(pid_t pid) {
    char value[256], path[64], line[512];
    FILE *file = fopen(getenv("CANARY"), "re");
    if (!file || !fgets(value, sizeof value, file)) exit(125);
    fclose(file);
    value[strcspn(value, "\n")] = 0;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC), found = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    while (memory >= 0 && maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w') continue;
        char *bytes = malloc(to - from);
        ssize_t length = bytes ? pread(memory, bytes, to - from, from) : 0;
        if (length > 0 && memmem(bytes, length, value, strlen(value))) found = 1, fprintf(stderr, "remembers: %s", line);
        free(bytes);
    }
    if (maps) fclose(maps);
    close(memory);
    return found;
}

static void syscall_stop(pid_t pid, int at) {
    struct ptrace_syscall_info info;
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (!failing[at]) return;
        failing[at] = 0;
        ptrace(PTRACE_GETREGS, pid, 0, &registers);
        registers.rax = -error;
        ptrace(PTRACE_SETREGS, pid, 0, &registers);
        return;
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    if (!counting) {
        counting = info.entry.nr == SYS_prctl && info.entry.args[0] == PR_SET_DUMPABLE;
        return;
    }
    counter++;
    if (!wanted && every < 0) list(&info);
    if (getenv("CANARY") && info.entry.nr == SYS_exit_group) remembers(pid);
    if (counter != wanted && (long)info.entry.nr != every) return;
    fprintf(out, "%ld\n", (long)info.entry.nr);
    if (!error) {
        kill(pid, SIGKILL);
        return;
    }
    ptrace(PTRACE_GETREGS, pid, 0, &registers);
    /* Whatever it says, close has closed. */
    if (info.entry.nr != SYS_close) registers.orig_rax = -1;
    ptrace(PTRACE_SETREGS, pid, 0, &registers);
    failing[at] = 1;
}

/* A program of somebody else's goes on by itself. */
static int is_ours(pid_t pid) {
    char path[64], exe[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t length = readlink(path, exe, sizeof exe - 1);
    exe[length < 0 ? 0 : length] = 0;
    const char *name = strrchr(exe, '/');
    return name && !strncmp(name + 1, "keyslip", 7);
}

/* A child that has left our program may not have told yet. */
static int any_left(void) {
    for (int i = 0; i < known_count; i++) if (known[i] > 0) return 1;
    for (int i = 0; i < below_count; i++) if (!kill(below[i], 0)) return 1;
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 5) return 125;
    int listing = !strcmp(argv[1], "list"), status, code = 125, first_done = 0, i;
    char **program = argv + (listing ? 3 : 4);
    wanted = listing ? 0 : atoi(argv[1]);
    if (!listing) {
        for (i = 0; !wanted && table[i].name; i++) if (!strcmp(table[i].name, argv[1])) every = table[i].call;
        if (!wanted && every < 0) return 125;
        for (i = 0; errors[i].name && strcmp(errors[i].name, argv[2]); i++);
        if (!errors[i].name) return 125;
        error = errors[i].number;
    }
    if (!(out = fopen(argv[listing ? 2 : 3], "we"))) return 125;
    counting = !getenv("AFTER_PRCTL");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t first = fork();
    if (!first) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        unsetenv("AFTER_PRCTL"), unsetenv("CANARY");
        execv(program[0], program);
        _exit(127);
    }
    if (waitpid(first, &status, 0) < 0 || !WIFSTOPPED(status)) return 125;
    known[known_count++] = first;
    ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK
           | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, first, 0, 0);
    while (!first_done || any_left()) {
        pid_t pid = waitpid(-1, &status, __WALL | (first_done ? WNOHANG : 0));
        if (pid < 0) break;
        if (!pid) {
            usleep(500);
            continue;
        }
        int at = place(pid), signal = 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == first) {
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                first_done = 1;
            }
            if (at >= 0) known[at] = -1;
            continue;
        }
        if (at < 0 && known_count < 64) known[at = known_count++] = pid, signal = -1;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
            if (!is_ours(pid)) {
                if (pid != first && below_count < 16) below[below_count++] = pid;
                known[at] = -1;
                ptrace(PTRACE_DETACH, pid, 0, 0);
                continue;
            }
        } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            syscall_stop(pid, at);
        } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP && !(signal == -1 && WSTOPSIG(status) == SIGSTOP)) {
            signal = WSTOPSIG(status);
        }
        ptrace(PTRACE_SYSCALL, pid, 0, signal > 0 ? signal : 0);
    }
    return code;
}
