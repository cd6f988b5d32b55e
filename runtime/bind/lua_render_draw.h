/* lua_render_draw.h - views that are drawn when somebody asks for what they give.
 *
 * The first request for a view draws its whole batch on a pool thread; the first request for a file
 * encodes all pictures of the batch, side by side on the pool. When views are asked in order
 * (`follow`), the next batches are drawn, and encoded as the last one was, while the script looks
 * at this one. Requests wait in a list; whenever a piece of work ends, those that it satisfies go
 * on. What nobody waits for is freed when other batches need the memory: a view that is asked again
 * later is simply drawn again, and comes out the same.
 *
 * Ownership: counted, by Lua values, requests and work. Loop thread. */
#ifndef STANCE_BIND_LUA_RENDER_DRAW_H
#define STANCE_BIND_LUA_RENDER_DRAW_H

#include "bind/lua_render.h"

struct drawing;

/* Owns `views` from the call on, also when it fails (NULL: no memory). `parallel`: batches drawn at
 * once, at most; fewer where memory asks for it. */
struct drawing *drawing_new(struct loop *loop, struct views *views, uint32_t parallel);
struct drawing *drawing_retain(struct drawing *drawing);
void drawing_release(struct drawing *drawing);

struct views *drawing_views(const struct drawing *drawing);
const struct views_timings *drawing_spent(const struct drawing *drawing);
uint32_t drawing_drawn(const struct drawing *drawing); /* views, again what was drawn again */

enum want { WANT_LABELS, WANT_RGB, WANT_MAP, WANT_FILE };

struct wanted {
    enum want want;
    enum view_map map;             /* of WANT_MAP */
    struct view_encoding encoding; /* of WANT_FILE */
    const char *image, *character; /* of WANT_LABELS; may be NULL */
    bool follow;                   /* the next views will be asked for, too */
};

/* Pushes what is wanted of a view, or waits for it: `return drawing_ask(...)` in a waiting
 * function.
 */
int drawing_ask(lua_State *L, struct drawing *drawing, uint32_t view, const struct wanted *wanted);

/* Begins to draw the first batches, for somebody who will follow. */
void drawing_begin(struct drawing *drawing);

/* Nobody follows any more: frees what nobody waits for. */
void drawing_end(struct drawing *drawing);

#endif
