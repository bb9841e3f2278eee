/* reader FILE KEY1 KEY2 STOP RESULT: reads FILE over and over until STOP exists, then writes "READS TORN
   DIFFERENT" into RESULT. Each read has to be one whole JSON object, filled up with spaces; the string
   KEY1 ends in "-N" and the string KEY2 is "N", with the same N. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 16], before[1 << 16];

/* Brackets that match, strings that end, nothing but white space behind. */
static int is_whole(const char *at) {
    int depth = 0;
    if (*at != '{') return 0;
    for (; *at; at++) {
        if (*at == '"') {
            while (*++at && *at != '"')
                if (*at == '\\' && !*++at) return 0;
            if (!*at) return 0;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if ((*at == '}' || *at == ']') && --depth == 0) {
            return at[1 + strspn(at + 1, " \n")] == 0;
        }
    }
    return 0;
}

/* The number at the end of the string KEY, or -1. */
static long number(const char *key) {
    char quoted[128];
    snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    char *start = strstr(text, quoted), *end = start ? strchr(start + strlen(quoted), '"') : NULL;
    if (!end) return -1;
    while (end[-1] >= '0' && end[-1] <= '9') end--;
    return *end == '"' ? -1 : atol(end);
}

int main(int argc, char **argv) {
    long reads = 0, torn = 0, different = 0;
    /* Whoever changes the file goes first where there are few processors. */
    if (argc != 6 || nice(10) < 0) return 2;
    do {
        int file = open(argv[1], O_RDONLY);
        ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (file >= 0) close(file);
        text[length < 0 ? 0 : length] = 0;
        reads++;
        if (strcmp(text, before)) {
            long one = is_whole(text) && strlen(text) == (size_t)length ? number(argv[2]) : -1;
            if (one < 0 || one != number(argv[3])) torn++;
            else different++;
            strcpy(before, text);
        }
    } while (reads % 64 || access(argv[4], F_OK));
    FILE *out = fopen(argv[5], "w");
    fprintf(out, "%ld %ld %ld\n", reads, torn, different);
    return fclose(out);
}
