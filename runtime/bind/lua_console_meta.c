/* lua_console_meta.c - console.definitions(): the texts of lua/stance/meta, which hold the doc
 * comments of the modules written in C. They are not scripts, so no generation has them. */
#include "bind/lua_console.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "core/text.h"

enum { FILES_MAX = 128, FILE_MAX = 1 << 20 };

struct reading {
    char *folder;
    size_t count;
    struct {
        char name[64];
        char *text;
        size_t size;
    } files[FILES_MAX];
};

static void read_file(struct reading *reading, const char *name) {
    char path[4096], block[16384];
    size_t length = strlen(name);
    if (length < 5 || length > sizeof reading->files[0].name || name[0] == '.' ||
        strcmp(name + length - 4, ".lua") != 0 || reading->count == FILES_MAX)
        return;
    snprintf(path, sizeof path, "%s/%s", reading->folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    struct text text = {0};
    size_t size;
    while ((size = fread(block, 1, sizeof block, file)) > 0 && text.size < FILE_MAX)
        text_add(&text, block, size);
    fclose(file);
    size_t slot = reading->count;
    reading->files[slot].text = text_take(&text, &reading->files[slot].size);
    snprintf(reading->files[slot].name, sizeof reading->files[slot].name, "%.*s", (int)length - 4,
             name);
    reading->count += reading->files[slot].text != NULL;
}

static void read_folder(void *arg) {
    struct reading *reading = arg;
    DIR *folder = opendir(reading->folder);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        read_file(reading, entry->d_name);
    if (folder != NULL)
        closedir(folder);
}

static int push_texts(lua_State *L, void *arg) {
    const struct reading *reading = arg;
    lua_newtable(L);
    for (size_t i = 0; i < reading->count; i++) {
        lua_pushlstring(L, reading->files[i].text, reading->files[i].size);
        lua_setfield(L, -2, reading->files[i].name);
    }
    return 1;
}

static void release(void *arg) {
    struct reading *reading = arg;
    for (size_t i = 0; i < reading->count; i++)
        free(reading->files[i].text);
    free(reading->folder);
    free(reading);
}

/* console.definitions() -> { module = text }; empty where they are not installed. Waits. */
static int console_definitions(lua_State *L) {
    const char *lua_dir = services_of(L)->lua_dir;
    struct reading *reading = calloc(1, sizeof *reading);
    size_t size = strlen(lua_dir ? lua_dir : "") + sizeof "/stance/meta";
    if (reading != NULL)
        reading->folder = malloc(size);
    if (reading == NULL || reading->folder == NULL) {
        free(reading);
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    }
    snprintf(reading->folder, size, "%s/stance/meta", lua_dir ? lua_dir : "");
    return fiber_work(L, reading, read_folder, push_texts, release);
}

void lua_console_add_definitions(lua_State *L) {
    static const luaL_Reg waits[] = {{"definitions", console_definitions}, {NULL, NULL}};
    fiber_register(L, waits);
}
