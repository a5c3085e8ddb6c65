/* Makes onnxruntime see a processor with AVX2 and without AVX-512, VNNI, AMX and AVX10: for LD_PRELOAD, on x86-64 Linux.

   In a copy of onnxruntime each CPUID is replaced by LOCK NOP, which is as long, no compiler emits and every processor
   refuses (Intel's manual, volume 2A, LOCK). The refusal comes as SIGILL; the handler asks the processor, clears the
   bits, and goes on after the instruction. Any other SIGILL goes where it would go without this library: whoever sets a
   handler for it (pytest's faulthandler does) gets what is not ours.
   /proc/cpuinfo is read with the same flags left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define BIT(number) (1u << (number))

/* Intel's manual, volume 2A, CPUID, leaf 7. */
#define AVX512_B (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define AVX512_C (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)) /* 11: AVX512_VNNI */
#define AVX512_AMX_D (BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25))
#define VNNI_BF16_A (BIT(4) | BIT(5) | BIT(21) | BIT(23))     /* subleaf 1; 4: AVX_VNNI, 5: AVX512_BF16 */
#define VNNI_AVX10_D (BIT(4) | BIT(5) | BIT(10) | BIT(19)) /* subleaf 1 */

static const char *const HIDDEN[] = {"avx512", "avx_vnni", "avx_ifma", "avx_ne_convert", "avx10", "amx_"};

typedef int (*Sigaction)(int, const struct sigaction *, struct sigaction *);

/* What the process has set for SIGILL. */
static struct sigaction others = {.sa_handler = SIG_DFL};

static int real_sigaction(int number, const struct sigaction *action, struct sigaction *before) {
    static Sigaction real;
    if (real == NULL)
        real = (Sigaction)dlsym(RTLD_NEXT, "sigaction");
    return real(number, action, before);
}

static void pass_on(int number, siginfo_t *info, void *context) {
    struct sigaction ends = {.sa_handler = SIG_DFL};
    if (others.sa_flags & SA_SIGINFO)
        others.sa_sigaction(number, info, context);
    else if (others.sa_handler != SIG_DFL && others.sa_handler != SIG_IGN)
        others.sa_handler(number);
    else if (others.sa_handler == SIG_DFL || info->si_code > 0) { /* the kernel's own cannot be ignored */
        real_sigaction(number, &ends, NULL);
        raise(number);
    }
}

static void on_refusal(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)registers[REG_RIP];
    if (info->si_code <= 0 || code[0] != 0xf0 || code[1] != 0x90) {
        pass_on(number, info, context);
        return;
    }
    uint32_t leaf = registers[REG_RAX], part = registers[REG_RCX], a = leaf, b = 0, c = part, d = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (leaf == 7 && part == 0) {
        b &= ~AVX512_B;
        c &= ~AVX512_C;
        d &= ~AVX512_AMX_D;
    } else if (leaf == 7 && part == 1) {
        a &= ~VNNI_BF16_A;
        d &= ~VNNI_AVX10_D;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action = {.sa_sigaction = on_refusal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (real_sigaction(SIGILL, &action, NULL)) {
        perror("avx2_only");
        _exit(1);
    }
}

int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
    struct sigaction set;
    if (number != SIGILL)
        return real_sigaction(number, action, before);
    if (action != NULL)
        set = *action; /* before may be the same place */
    if (before != NULL)
        *before = others;
    if (action != NULL)
        others = set;
    return 0;
}

sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
    return sigaction(number, &action, &before) ? SIG_ERR : before.sa_handler;
}

static int is_hidden(const char *flag) {
    for (size_t index = 0; index < sizeof HIDDEN / sizeof *HIDDEN; index++)
        if (!strncmp(flag, HIDDEN[index], strlen(HIDDEN[index])))
            return 1;
    return 0;
}

/* A file in memory with what /proc/cpuinfo says, without the hidden flags; -1 if it cannot be had. */
static int open_cpuinfo(void) {
    int source = syscall(SYS_openat, AT_FDCWD, "/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    FILE *given = source < 0 ? NULL : fdopen(source, "r");
    int target = memfd_create("cpuinfo", MFD_CLOEXEC);
    char *line = NULL;
    size_t room = 0;
    if (given == NULL || target < 0)
        return -1;
    while (getline(&line, &room, given) > 0) {
        char *rest = line, *word;
        int is_flags = !strncmp(line, "flags", 5);
        if (!is_flags)
            dprintf(target, "%s", line);
        else {
            while ((word = strsep(&rest, " \n")) != NULL)
                if (*word && !is_hidden(word))
                    dprintf(target, "%s ", word);
            dprintf(target, "\n");
        }
    }
    free(line);
    fclose(given);
    lseek(target, 0, SEEK_SET);
    return target;
}

static int is_cpuinfo(const char *path) { return path != NULL && !strcmp(path, "/proc/cpuinfo"); }

/* glibc has each of these twice, with a 64 at the end for large files; here they are the same. */
#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        static int (*real)(const char *, int, ...);                                                                    \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                      \
        va_end(rest);                                                                                                  \
        if (is_cpuinfo(path))                                                                                          \
            return open_cpuinfo();                                                                                     \
        if (real == NULL)                                                                                              \
            real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                                           \
        return real(path, flags, mode);                                                                                \
    }
#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        static int (*real)(int, const char *, int, ...);                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                      \
        va_end(rest);                                                                                                  \
        if (is_cpuinfo(path))                                                                                          \
            return open_cpuinfo();                                                                                     \
        if (real == NULL)                                                                                              \
            real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name);                                      \
        return real(folder, path, flags, mode);                                                                        \
    }
#define FOPEN(name)                                                                                                    \
    FILE *name(const char *path, const char *mode) {                                                                   \
        static FILE *(*real)(const char *, const char *);                                                              \
        if (is_cpuinfo(path))                                                                                          \
            return fdopen(open_cpuinfo(), mode);                                                                       \
        if (real == NULL)                                                                                              \
            real = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, #name);                                   \
        return real(path, mode);                                                                                       \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
