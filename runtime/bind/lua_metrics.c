/* lua_metrics.c - the Lua module `metrics`: counters, gauges and histograms of the process's one
 * registry.
 *
 * Declaring a name again gives the same metric, so that a reloaded script counts on where the old
 * one was. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "core/metrics.h"

enum { LABELS_MAX = 8, NAME_MAX_SIZE = 64, BUCKETS_MAX = METRIC_BUCKETS_MAX };

static const char *const type_names[] = {"stance.counter", "stance.gauge", "stance.histogram"};

/* What a script holds. The family lives as long as the process. */
struct meter {
    struct metric_family *family;
    enum metric_type type;
    size_t label_count;
    char labels[LABELS_MAX][NAME_MAX_SIZE];
    char name[NAME_MAX_SIZE];
};

/* -- Declaring --------------------------------------------------------------------------------- */

/* The label names in options.labels, in their order. */
static void take_label_names(lua_State *L, struct meter *meter) {
    lua_getfield(L, 1, "labels");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    if (!lua_istable(L, -1) || lua_objlen(L, -1) > LABELS_MAX) {
        luaL_error(L, "option 'labels' must be a list of at most %d names", LABELS_MAX);
    }
    meter->label_count = lua_objlen(L, -1);
    for (size_t i = 0; i < meter->label_count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING || lua_objlen(L, -1) >= NAME_MAX_SIZE) {
            luaL_error(L, "option 'labels' must be a list of names, each below %d bytes",
                       NAME_MAX_SIZE);
        }
        memcpy(meter->labels[i], lua_tostring(L, -1), lua_objlen(L, -1) + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The bounds in options.buckets; their number, 0 when there are none. */
static size_t take_buckets(lua_State *L, double *bounds) {
    lua_getfield(L, 1, "buckets");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    size_t count = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    if (count == 0 || count > BUCKETS_MAX) {
        luaL_error(L, "option 'buckets' must be a list of 1 to %d numbers", BUCKETS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_type(L, -1) != LUA_TNUMBER) {
            luaL_error(L, "option 'buckets' must be a list of numbers");
        }
        bounds[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return count;
}

static int declare(lua_State *L, enum metric_type type) {
    struct err err;
    double bounds[BUCKETS_MAX];
    const char *names[LABELS_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *name = vm_opt_string(L, 1, "name", "");
    const char *help = vm_opt_string(L, 1, "help", "");
    size_t bucket_count = type == METRIC_HISTOGRAM ? take_buckets(L, bounds) : 0;
    struct meter *meter = lua_newuserdata(L, sizeof *meter);
    memset(meter, 0, sizeof *meter);
    meter->type = type;
    take_label_names(L, meter);
    size_t name_size = strlen(name) + 1;
    if (name_size > sizeof meter->name) {
        return luaL_error(L, "a metric's name has at most %d bytes", NAME_MAX_SIZE - 1);
    }
    memcpy(meter->name, name, name_size);
    for (size_t i = 0; i < meter->label_count; i++) {
        names[i] = meter->labels[i];
    }
    meter->family =
        metrics_family(type, name, help, bucket_count > 0 ? bounds : NULL, bucket_count, &err);
    if (meter->family == NULL ||
        metrics_labels(meter->family, names, meter->label_count, &err) < 0) {
        return luaL_error(L, "%s", err.message);
    }
    if (meter->label_count == 0) {
        metrics_series(meter->family, NULL); /* so that it reads 0 before its first event */
    }
    luaL_getmetatable(L, type_names[type]);
    lua_setmetatable(L, -2);
    return 1;
}

static int metrics_counter(lua_State *L) {
    return declare(L, METRIC_COUNTER);
}

static int metrics_gauge(lua_State *L) {
    return declare(L, METRIC_GAUGE);
}

static int metrics_histogram(lua_State *L) {
    return declare(L, METRIC_HISTOGRAM);
}

/* -- Counting ---------------------------------------------------------------------------------- */

/* Text of the label value at the top; stays on the stack, so that it lives. */
static const char *label_value(lua_State *L, const struct meter *meter, size_t i) {
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
        return lua_tostring(L, -1);
    case LUA_TBOOLEAN:
        return lua_toboolean(L, -1) ? "true" : "false";
    case LUA_TNIL:
        luaL_error(L, "%s: label '%s' is missing", meter->name, meter->labels[i]);
        return NULL;
    default:
        luaL_error(L, "%s: label '%s' is a %s", meter->name, meter->labels[i],
                   luaL_typename(L, -1));
        return NULL;
    }
}

/* The series that the label table at `index` names; 0: no table was given. */
static struct metric *series_of(lua_State *L, const struct meter *meter, int index) {
    const char *pairs[2 * LABELS_MAX + 1] = {NULL};
    size_t given = 0;
    if (index == 0) {
        luaL_argcheck(L, meter->label_count == 0, 2,
                      "this metric has labels: pass them in a table");
        return metrics_series(meter->family, NULL);
    }
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        given++;
    }
    luaL_checkstack(L, LABELS_MAX + 2, "labels");
    for (size_t i = 0; i < meter->label_count; i++) {
        lua_getfield(L, index, meter->labels[i]);
        pairs[2 * i] = meter->labels[i];
        pairs[2 * i + 1] = label_value(L, meter, i);
    }
    if (given != meter->label_count) {
        luaL_error(L, "%s: has %d labels, got %d", meter->name, (int)meter->label_count,
                   (int)given);
    }
    return metrics_series(meter->family, pairs);
}

struct change {
    struct meter *meter;
    struct metric *series;
    double number;
};

/* self, [labels], [number]: `otherwise` stands for a number that is not given; NaN: it must be. */
static struct change take_change(lua_State *L, enum metric_type type, double otherwise) {
    struct change change = {.meter = luaL_checkudata(L, 1, type_names[type])};
    bool has_labels = lua_istable(L, 2);
    int at = has_labels ? 3 : 2;
    lua_settop(L, 3);
    change.number = isnan(otherwise) ? luaL_checknumber(L, at) : luaL_optnumber(L, at, otherwise);
    luaL_argcheck(L, !isnan(change.number), at, "not a number");
    change.series = series_of(L, change.meter, has_labels ? 2 : 0);
    return change;
}

static int counter_inc(lua_State *L) {
    struct change change = take_change(L, METRIC_COUNTER, 1);
    if (change.number < 0) {
        return luaL_error(L, "%s: a counter never falls", change.meter->name);
    }
    metric_add(change.series, change.number);
    return 0;
}

static int gauge_set(lua_State *L) {
    struct change change = take_change(L, METRIC_GAUGE, NAN);
    metric_set(change.series, change.number);
    return 0;
}

static int gauge_add(lua_State *L) {
    struct change change = take_change(L, METRIC_GAUGE, NAN);
    metric_add(change.series, change.number);
    return 0;
}

static int histogram_observe(lua_State *L) {
    struct change change = take_change(L, METRIC_HISTOGRAM, NAN);
    metric_observe(change.series, change.number);
    return 0;
}

static int counter_value(lua_State *L) {
    lua_pushnumber(L, metric_value(take_change(L, METRIC_COUNTER, 0).series));
    return 1;
}

static int gauge_value(lua_State *L) {
    lua_pushnumber(L, metric_value(take_change(L, METRIC_GAUGE, 0).series));
    return 1;
}

static int meter_tostring(lua_State *L) {
    const struct meter *meter = lua_touserdata(L, 1);
    static const char *const words[] = {"counter", "gauge", "histogram"};
    lua_pushfstring(L, "%s %s", words[meter->type], meter->name);
    return 1;
}

static int metrics_text_function(lua_State *L) {
    size_t size;
    char *text = metrics_text(&size);
    if (text == NULL) {
        return luaL_error(L, "not enough memory");
    }
    lua_pushlstring(L, text, size);
    free(text);
    return 1;
}

/* Fills the lists `bounds` and `counts` of the table on top. */
static void set_buckets(lua_State *L, const struct metric_view *view) {
    double count = 0;
    lua_createtable(L, (int)view->bucket_count, 0);
    lua_createtable(L, (int)view->bucket_count + 1, 0);
    for (size_t i = 0; i <= view->bucket_count; i++) {
        count += (double)view->counts[i];
        if (i < view->bucket_count) {
            lua_pushnumber(L, view->buckets[i]);
            lua_rawseti(L, -3, (int)i + 1);
        }
        lua_pushnumber(L, count);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -3, "counts");
    lua_setfield(L, -2, "bounds");
    lua_pushnumber(L, count);
    lua_setfield(L, -2, "count");
}

/* Appends the series to the list on top. */
static void append_view(const struct metric_view *view, void *arg) {
    lua_State *L = arg;
    lua_createtable(L, 0, 5);
    lua_pushstring(L, view->labels);
    lua_setfield(L, -2, "labels");
    lua_pushnumber(L, view->value);
    lua_setfield(L, -2, "value");
    if (view->type == METRIC_HISTOGRAM) {
        set_buckets(L, view);
    }
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

/* metrics.read(name) -> series of a family; an empty list when there is none */
static int metrics_read(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    lua_newtable(L);
    metrics_visit(name, append_view, L);
    return 1;
}

/* metrics.collect(): brings up to date what metrics.read tells of gauges */
static int metrics_collect_function(lua_State *L) {
    (void)L;
    metrics_collect();
    return 0;
}

/* -- Module ------------------------------------------------------------------------------------ */

static const luaL_Reg counter_methods[] = {
    {"inc", counter_inc},
    {"value", counter_value},
    {NULL, NULL},
};

static const luaL_Reg gauge_methods[] = {
    {"set", gauge_set},
    {"add", gauge_add},
    {"value", gauge_value},
    {NULL, NULL},
};

static const luaL_Reg histogram_methods[] = {
    {"observe", histogram_observe},
    {NULL, NULL},
};

static const luaL_Reg meter_meta[] = {
    {"__tostring", meter_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"counter", metrics_counter},
    {"gauge", metrics_gauge},
    {"histogram", metrics_histogram},
    {"text", metrics_text_function},
    {"read", metrics_read},
    {"collect", metrics_collect_function},
    {NULL, NULL},
};

int lua_open_metrics(lua_State *L) {
    const luaL_Reg *const methods[] = {counter_methods, gauge_methods, histogram_methods};
    for (int type = METRIC_COUNTER; type <= METRIC_HISTOGRAM; type++) {
        vm_new_type(L, type_names[type], methods[type], meter_meta);
    }
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
