#include "common/catalogue/data.h"

/* Paths are from the root of the tree, where the compiler runs; the Makefile has the dependency. */
#define EMBED(symbol, path)                           \
    __asm__(".pushsection .rodata.catalogue, \"a\"\n" \
            ".global " #symbol "\n"                   \
            ".hidden " #symbol "\n" #symbol ":\n"     \
            ".incbin \"" path "\"\n"                  \
            ".byte 0\n"                               \
            ".popsection\n")

EMBED(catalogue_models_yaml, "common/catalogue/models.yaml");
EMBED(catalogue_machines_yaml, "common/catalogue/machines.yaml");
