/*
 * Writes the committed files that come from the option table: .env.example and
 * docs/configuration.md, below the directory given. A maintainer's tool, not installed.
 */
#include <stdio.h>

#include "config/config.h"

#define FILE_BYTES_MAX (1u << 20)

static bool write_file(const char *root, const char *name, void (*generate)(struct buf *))
{
    char path[4096];
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    generate(&text);
    int n = snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) && !text.failed ? fopen(path, "w") : NULL;
    bool is_fine = f && fwrite(text.data, 1, text.len, f) == text.len;
    if (f && fclose(f) != 0)
        is_fine = false;
    if (!is_fine)
        perror(name);
    buf_done(&text);
    return is_fine;
}

int main(int argc, char **argv)
{
    const char *root = argc > 1 ? argv[1] : ".";
    bool is_fine = write_file(root, ".env.example", config_write_env_example) &&
                   write_file(root, "docs/configuration.md", config_write_markdown);
    return is_fine ? 0 : 1;
}
