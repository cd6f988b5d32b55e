#include "core/symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct symbol {
    uintptr_t address, size;
    const char *name;
};

static struct {
    pthread_once_t once;
    uintptr_t base; /* where the program was loaded */
    struct symbol *list;
    size_t count;
} own = {.once = PTHREAD_ONCE_INIT};

/* The program itself is the first that the linker tells of. */
static int take_base(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size, (void)arg;
    own.base = info->dlpi_addr;
    return 1;
}

static int compare_addresses(const void *a, const void *b) {
    const struct symbol *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

/* All of it lies within the file? */
static bool fits(const ElfW(Shdr) * section, size_t size) {
    return section->sh_offset <= size && section->sh_size <= size - section->sh_offset;
}

static void take_symbols(const char *file, size_t size, const ElfW(Shdr) * table,
                         const ElfW(Shdr) * names) {
    const ElfW(Sym) *symbol = (const void *)(file + table->sh_offset);
    size_t count = table->sh_size / sizeof *symbol;
    const char *strings = file + names->sh_offset;
    if (!fits(table, size) || !fits(names, size) || names->sh_size == 0 ||
        strings[names->sh_size - 1] != 0 || (own.list = malloc(count * sizeof *own.list)) == NULL)
        return;
    for (; count > 0; symbol++, count--)
        if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_size > 0 &&
            symbol->st_name < names->sh_size)
            own.list[own.count++] =
                (struct symbol){symbol->st_value, symbol->st_size, strings + symbol->st_name};
    qsort(own.list, own.count, sizeof *own.list, compare_addresses);
}

static void read_file(const char *file, size_t size) {
    const ElfW(Ehdr) *head = (const void *)file;
    if (size < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_shentsize != sizeof(ElfW(Shdr)) || head->e_shoff > size ||
        (size - head->e_shoff) / sizeof(ElfW(Shdr)) < head->e_shnum)
        return;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);
    for (size_t i = 0; i < head->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB && sections[i].sh_link < head->e_shnum)
            take_symbols(file, size, &sections[i], &sections[sections[i].sh_link]);
}

/* Stays mapped: the names lie in it. */
static void read_own(void) {
    struct stat found;
    dl_iterate_phdr(take_base, NULL);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &found) == 0 && found.st_size > 0) {
        void *file = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file != MAP_FAILED)
            read_file(file, (size_t)found.st_size);
    }
    close(fd);
}

static const char *find_own(uintptr_t address) {
    size_t low = 0, high = own.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (own.list[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address - own.list[low - 1].address < own.list[low - 1].size
               ? own.list[low - 1].name
               : NULL;
}

void symbols_name(const void *address, char *out, size_t size) {
    pthread_once(&own.once, read_own);
    const char *name = find_own((uintptr_t)address - own.base);
    Dl_info info;
    if (name != NULL) {
        /* What the compiler made of a function is still that function: "f.constprop.0". */
        snprintf(out, size, "%.*s", (int)strcspn(name, "."), name);
    } else if (dladdr(address, &info) == 0 || info.dli_fname == NULL) {
        snprintf(out, size, "[compiled Lua]");
    } else if (info.dli_sname != NULL) {
        snprintf(out, size, "%s", info.dli_sname);
    } else {
        const char *slash = strrchr(info.dli_fname, '/');
        snprintf(out, size, "[%s]", slash ? slash + 1 : info.dli_fname);
    }
}
