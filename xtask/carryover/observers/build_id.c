/* A program that prints its own build id from memory. */
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
extern const ElfW(Ehdr) __ehdr_start;
__attribute__((noinline)) int unrelated_twist(int x) { puts("twisted"); return x * 23 - 1; }
int main(int words, char **unused) {
    (void)unused;
    const char *base = (const char *)&__ehdr_start;
    const ElfW(Phdr) *header = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
    for (int i = 0; i < __ehdr_start.e_phnum; i++) {
        if (header[i].p_type != PT_NOTE) continue;
        const char *at = base + header[i].p_vaddr, *end = at + header[i].p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const unsigned char *id = (const unsigned char *)at + sizeof *note + ((note->n_namesz + 3) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4)
                for (unsigned j = 0; j < note->n_descsz; j++) printf("%02x", id[j]);
            at = (const char *)id + ((note->n_descsz + 3) & ~3u);
        }
    }
    putchar('\n');
    if (words > 3) printf("%d\n", unrelated_twist(words));
    return 0;
}
