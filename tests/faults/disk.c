/* Makes the disk fail under a program: tests preload it (tests/src/faulty.rs). It looks at calls
 * on files below CARDEA_FAULT_FOLDER, and does what the file CARDEA_FAULT_CONTROL says, which the
 * test changes while the program runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { OFF, READ_FAILS, FULL, SYNC_FAILS, KILLED };

struct control {
    _Atomic uint64_t mode;
    _Atomic int64_t left;  /* calls before the one that fails; FULL: bytes that still fit */
    _Atomic uint64_t hits; /* calls that failed */
};

static struct control *control;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CARDEA_FAULT_CONTROL");
    folder = getenv("CARDEA_FAULT_FOLDER");
    if (!path || !folder) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) control = map;
}

static int is_ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int is_on(uint64_t mode, int fd) {
    if (!control || atomic_load(&control->mode) != mode) return 0;
    int kept = errno;
    int ours = is_ours(fd);
    errno = kept;
    return ours;
}

/* Whether this call is the one. */
static int is_due(uint64_t mode, int fd) {
    if (!is_on(mode, fd) || atomic_fetch_sub(&control->left, 1) != 0) return 0;
    atomic_fetch_add(&control->hits, 1);
    return 1;
}

/* How many of `count` bytes may be written; -1: none, and the call fails. */
static ssize_t room(int fd, size_t count) {
    if (is_due(KILLED, fd)) raise(SIGKILL);
    if (!is_on(FULL, fd) || count == 0) return (ssize_t)count;
    int64_t before = atomic_fetch_sub(&control->left, (int64_t)count);
    if (before >= (int64_t)count) return (ssize_t)count;
    atomic_fetch_add(&control->hits, 1);
    if (before > 0) return (ssize_t)before;
    errno = ENOSPC;
    return -1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAILS(mode, fd) \
    if (is_due(mode, fd)) { \
        errno = EIO; \
        return -1; \
    }

ssize_t read(int fd, void *bytes, size_t count) {
    REAL(read);
    FAILS(READ_FAILS, fd)
    return real(fd, bytes, count);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at) {
    REAL(pread);
    FAILS(READ_FAILS, fd)
    return real(fd, bytes, count, at);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    REAL(pread64);
    FAILS(READ_FAILS, fd)
    return real(fd, bytes, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write);
    ssize_t fits = room(fd, count);
    return fits < 0 ? -1 : real(fd, bytes, (size_t)fits);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    REAL(pwrite);
    ssize_t fits = room(fd, count);
    return fits < 0 ? -1 : real(fd, bytes, (size_t)fits, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    REAL(pwrite64);
    ssize_t fits = room(fd, count);
    return fits < 0 ? -1 : real(fd, bytes, (size_t)fits, at);
}

int fsync(int fd) {
    REAL(fsync);
    FAILS(SYNC_FAILS, fd)
    return real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    FAILS(SYNC_FAILS, fd)
    return real(fd);
}
