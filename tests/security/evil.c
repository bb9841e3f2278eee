/* A library that notes which program has loaded it, in the file LOG. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

__attribute__((constructor)) static void loaded(void) {
    FILE *log = fopen(LOG, "a");
    if (log) {
        fprintf(log, "%s\n", program_invocation_name);
        fclose(log);
    }
}
