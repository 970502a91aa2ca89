/* Stands between the program and the C library, for tests/disks/mod.rs:
 *
 *   EDGEWALK_NO_LOCKS=errno   files cannot be locked, for this reason
 *   EDGEWALK_LOG=file         what is made durable, renamed and removed, one line each
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The path behind a descriptor. */
static void path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void note(const char *what, const char *path) {
    const char *log = getenv("EDGEWALK_LOG");
    if (log == NULL) return;
    char line[2 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s %s\n", what, path);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || write(fd, line, length) != length) abort();
    close(fd);
}

int flock(int fd, int operation) {
    const char *reason = getenv("EDGEWALK_NO_LOCKS");
    if (reason != NULL) {
        errno = atoi(reason);
        return -1;
    }
    int (*next)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    return next(fd, operation);
}

int fsync(int fd) {
    char path[PATH_MAX];
    path_of(fd, path);
    note("fsync", path);
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return next(fd);
}

int rename(const char *from, const char *to) {
    note("rename", to);
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    return next(from, to);
}

int unlinkat(int fd, const char *name, int flags) {
    char path[PATH_MAX] = "";
    if (fd != AT_FDCWD && name[0] != '/') {
        path_of(fd, path);
        strncat(path, "/", PATH_MAX - strlen(path) - 1);
    }
    strncat(path, name, PATH_MAX - strlen(path) - 1);
    note("remove", path);
    int (*next)(int, const char *, int) = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
    return next(fd, name, flags);
}
