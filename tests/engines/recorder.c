/* Stands where a runtime would and writes down what it was given: arguments, environment, working
   directory, descriptors with their targets, and the lines of /proc/self/status that a program
   inherits. RECORD in the environment says where; the exit code is 37. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    char path[PATH_MAX], target[PATH_MAX], line[512];
    const char *inherited[] = {"Umask", "SigBlk", "SigIgn", "Uid", "Gid", "Groups", "NoNewPrivs", "CapEff"};
    const char *record = getenv("RECORD");
    DIR *fds = opendir("/proc/self/fd");
    FILE *out;
    /* Listed before anything else is opened. */
    static int numbers[4096];
    int count = 0;
    for (struct dirent *entry; (entry = readdir(fds)) && count < 4096;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(fds)) numbers[count++] = atoi(entry->d_name);
    closedir(fds);
    out = record ? fopen(record, "we") : NULL;
    if (!out) return 38;
    for (int i = 0; i < argc; i++) fprintf(out, "arg %d %s\n", i, argv[i]);
    for (char **entry = environ; *entry; entry++) fprintf(out, "env %s\n", *entry);
    fprintf(out, "cwd %s\n", getcwd(path, sizeof path));
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", numbers[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        fprintf(out, "fd %d %s %x %x\n", numbers[i], target, fcntl(numbers[i], F_GETFL), fcntl(numbers[i], F_GETFD));
    }
    FILE *status = fopen("/proc/self/status", "re");
    while (fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
            if (!strncmp(line, inherited[i], strlen(inherited[i]))) fputs(line, out);
    return 37;
}
