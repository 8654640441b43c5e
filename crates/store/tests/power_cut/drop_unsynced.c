/* A disk that loses whatever was not synced, for a process that is run with LD_PRELOAD.
 *
 * The process's own files (under $POWER_CUT_ROOT) are the page cache: it reads and writes them as
 * ever. What a power cut would leave is kept apart, in $POWER_CUT_SHADOW:
 *   files/INODE.GENERATION       a file's content as of its last fsync or fdatasync: the ranges
 *                                written since the one before, and the length
 *   directories/INODE            a directory's names as of its last fsync, one a line:
 *                                INODE.GENERATION, f or d, name
 * A name that was never synced doesn't exist after the cut, whatever happened to the file behind
 * it; a removal or a rename that was not synced didn't happen. That is stricter than Linux file
 * systems are. Renames and removals need no interception: only a directory's fsync looks at them.
 * A generation tells a new file from an older one whose inode number it got.
 *
 * With $POWER_CUT_FAILING_SYNC = N, the Nth fdatasync and all after it fail with EIO.
 *
 * A kill in the midst of an fsync leaves some of its ranges: so may a power cut.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct range { off_t start, end; };

struct file {
    ino_t inode;
    unsigned generation;
    struct range *ranges;
    size_t count, capacity;
    struct file *next;
};

static struct file *files[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *shadow;
static size_t root_length;
static long failing_sync, syncs;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

static void die(const char *what) {
    fprintf(stderr, "drop_unsynced: %s: %s\n", what, strerror(errno));
    _exit(97);
}

__attribute__((constructor)) static void start(void) {
    real_open = dlsym(RTLD_NEXT, "open64");
    real_openat = dlsym(RTLD_NEXT, "openat64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    root = getenv("POWER_CUT_ROOT");
    shadow = getenv("POWER_CUT_SHADOW");
    if (!root || !shadow) {
        errno = EINVAL;
        die("POWER_CUT_ROOT and POWER_CUT_SHADOW must be set");
    }
    root_length = strlen(root);
    const char *failing = getenv("POWER_CUT_FAILING_SYNC");
    failing_sync = failing ? atol(failing) : 0;
}

static int is_ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < (ssize_t)root_length) return 0;
    path[length] = 0;
    return strncmp(path, root, root_length) == 0
        && (path[root_length] == '/' || path[root_length] == 0);
}

/* The file behind an inode number; made if `make`. */
static struct file *find(ino_t inode, int make) {
    struct file **bucket = &files[inode % 4096];
    for (struct file *file = *bucket; file; file = file->next)
        if (file->inode == inode) return file;
    if (!make) return NULL;
    struct file *file = calloc(1, sizeof *file);
    if (!file) die("calloc");
    file->inode = inode;
    file->next = *bucket;
    *bucket = file;
    return file;
}

static void opened(int fd, int created) {
    struct stat status;
    if (fd < 0 || !is_ours(fd) || fstat(fd, &status) || !S_ISREG(status.st_mode)) return;
    struct file *file = find(status.st_ino, 1);
    if (created) {
        file->generation++;
        file->count = 0;
    }
}

static struct file *of(int fd, struct stat *status) {
    if (fstat(fd, status) || !S_ISREG(status->st_mode)) return NULL;
    return find(status->st_ino, 0);
}

static void dirty(struct file *file, off_t start, off_t end) {
    if (file->count && file->ranges[file->count - 1].end == start) {
        file->ranges[file->count - 1].end = end;
        return;
    }
    if (file->count == file->capacity) {
        file->capacity = file->capacity ? file->capacity * 2 : 16;
        file->ranges = realloc(file->ranges, file->capacity * sizeof *file->ranges);
        if (!file->ranges) die("realloc");
    }
    file->ranges[file->count++] = (struct range){start, end};
}

static void wrote(int fd, ssize_t length, off_t at) {
    struct stat status;
    struct file *file = length > 0 ? of(fd, &status) : NULL;
    if (!file) return;
    if (at < 0) at = lseek(fd, 0, SEEK_CUR) - length;
    dirty(file, at, at + length);
}

static void sync_file(int fd, struct file *file, const struct stat *status) {
    static char buffer[1 << 16];
    char path[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int from = real_open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/files/%lu.%u", shadow, (unsigned long)file->inode,
             file->generation);
    int to = real_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (from < 0 || to < 0) die(path);
    for (size_t index = 0; index < file->count; index++) {
        off_t at = file->ranges[index].start;
        while (at < file->ranges[index].end) {
            size_t want = file->ranges[index].end - at;
            if (want > sizeof buffer) want = sizeof buffer;
            ssize_t got = pread(from, buffer, want, at);
            if (got < 0) die("pread");
            if (got == 0) break; /* cut off meanwhile */
            if (real_pwrite(to, buffer, got, at) != got) die("pwrite");
            at += got;
        }
    }
    if (real_ftruncate(to, status->st_size)) die("ftruncate");
    file->count = 0;
    close(from);
    close(to);
}

static void sync_directory(int fd, ino_t inode) {
    char path[4096], unfinished[4200];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    DIR *directory = opendir(path);
    snprintf(path, sizeof path, "%s/directories/%lu", shadow, (unsigned long)inode);
    snprintf(unfinished, sizeof unfinished, "%s.new", path);
    FILE *list = fopen(unfinished, "w");
    if (!directory || !list) die(path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        struct stat status;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW)) continue;
        struct file *file = find(status.st_ino, 0);
        fprintf(list, "%lu.%u %c %s\n", (unsigned long)status.st_ino,
                file ? file->generation : 0, S_ISDIR(status.st_mode) ? 'd' : 'f', entry->d_name);
    }
    closedir(directory);
    if (fclose(list) || rename(unfinished, path)) die(path);
}

static void synced(int fd) {
    struct stat status;
    if (fstat(fd, &status)) return;
    if (S_ISDIR(status.st_mode)) {
        if (is_ours(fd)) sync_directory(fd, status.st_ino);
    } else if (S_ISREG(status.st_mode)) {
        struct file *file = find(status.st_ino, 0);
        if (file) sync_file(fd, file, &status);
    }
}

static int open_any(int directory, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&lock);
    struct stat status;
    int created = (flags & O_CREAT) && fstatat(directory, path, &status, 0);
    int fd = real_openat(directory, path, flags, mode);
    int error = errno;
    opened(fd, created);
    if (fd >= 0 && (flags & O_TRUNC) && !created) {
        struct file *file = of(fd, &status);
        if (file) file->count = 0; /* the length is taken at the sync */
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list list; \
        va_start(list, last); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_any(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_any(AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return open_any(directory, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return open_any(directory, path, flags, mode);
}

#define GUARDED(type, call, after) \
    pthread_mutex_lock(&lock); \
    type result = call; \
    int error = errno; \
    after; \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return result;

static int is_pipe(int fd) {
    struct stat status;
    return fstat(fd, &status) || !S_ISREG(status.st_mode);
}

/* A write to a pipe may block: not under the lock. */
ssize_t write(int fd, const void *bytes, size_t length) {
    if (is_pipe(fd)) return real_write(fd, bytes, length);
    GUARDED(ssize_t, real_write(fd, bytes, length), wrote(fd, result, -1))
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (is_pipe(fd)) return real_writev(fd, parts, count);
    GUARDED(ssize_t, real_writev(fd, parts, count), wrote(fd, result, -1))
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    GUARDED(ssize_t, real_pwrite(fd, bytes, length, at), wrote(fd, result, at))
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    GUARDED(ssize_t, real_pwrite(fd, bytes, length, at), wrote(fd, result, at))
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    GUARDED(ssize_t, real_pwritev(fd, parts, count, at), wrote(fd, result, at))
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    GUARDED(ssize_t, real_pwritev(fd, parts, count, at), wrote(fd, result, at))
}
int ftruncate(int fd, off_t length) {
    GUARDED(int, real_ftruncate(fd, length), )
}
int ftruncate64(int fd, off64_t length) {
    GUARDED(int, real_ftruncate(fd, length), )
}
int fsync(int fd) {
    GUARDED(int, real_fsync(fd), if (!result) synced(fd))
}
static int data_sync(int fd) {
    if (failing_sync && ++syncs >= failing_sync) {
        errno = EIO;
        return -1;
    }
    return real_fdatasync(fd);
}

int fdatasync(int fd) {
    GUARDED(int, data_sync(fd), if (!result) synced(fd))
}
