/* lua_fs.h - open files as Lua values, for bindings that hand files to others (objects, net).
 *
 * Loop thread. */
#ifndef STANCE_BIND_LUA_FS_H
#define STANCE_BIND_LUA_FS_H

#include <lua.h>
#include <stdint.h>

struct replacement;

/* The descriptor of the open `stance.file` at `index`, and its size in bytes (may be NULL) as it
 * was when opened. The file keeps it: dup it to read on after the script may have closed the file,
 * and read with pread, since the offset is shared. -1 when the value is no `stance.file`; raises
 * when the file is closed or open for writing. */
int lua_file_fd(lua_State *L, int index, int64_t *size);

/* Pushes a `stance.file` that reads from `fd`, which is the file's once this returns; when it
 * raises (out of memory), it is still the caller's. */
void lua_file_push(lua_State *L, int fd, int64_t size);

/* Pushes one that writes, and takes its place when it is closed; ownership as above. */
void lua_file_push_replacement(lua_State *L, const struct replacement *replacement);

#endif
