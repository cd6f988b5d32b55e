#include "bind/modules.h"

#define MODULES(X)                                                                                 \
    X(blender)                                                                                     \
    X(console)                                                                                     \
    X(crypto)                                                                                      \
    X(db)                                                                                          \
    X(encode)                                                                                      \
    X(fiber)                                                                                       \
    X(fs)                                                                                          \
    X(host)                                                                                        \
    X(http)                                                                                        \
    X(image)                                                                                       \
    X(json)                                                                                        \
    X(lint)                                                                                        \
    X(log)                                                                                         \
    X(metrics)                                                                                     \
    X(motion)                                                                                      \
    X(npy)                                                                                         \
    X(objects)                                                                                     \
    X(pose)                                                                                        \
    X(profile)                                                                                     \
    X(render)                                                                                      \
    X(scene)                                                                                       \
    X(time)                                                                                        \
    X(video)                                                                                       \
    X(ws)

#define DECLARE(name) int lua_open_##name(lua_State *L);
MODULES(DECLARE)

#define ENTRY(name) {#name, lua_open_##name},
const struct vm_module bind_modules[] = {MODULES(ENTRY){NULL, NULL}};

struct services *services_of(lua_State *L) {
    return vm_host(vm_of(L));
}
