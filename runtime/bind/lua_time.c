/* lua_time.c - the Lua module `time`: clocks and times as text, all UTC. What each function takes
 * and gives: lua/stance/meta/time.lua. Nothing here waits. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bind/modules.h"

/* Years 0000 to 9999: what ISO 8601 writes with four digits. */
static const double first_second = -62167219200.0, last_second = 253402300800.0;

static int now(lua_State *L) {
    lua_pushnumber(L, loop_wall_seconds());
    return 1;
}

static int monotonic(lua_State *L) {
    lua_pushnumber(L, loop_seconds());
    return 1;
}

static double opt_time(lua_State *L, int index) {
    double when = lua_isnoneornil(L, index) ? loop_wall_seconds() : luaL_checknumber(L, index);
    luaL_argcheck(L, when >= first_second && when < last_second, index,
                  "seconds since 1970, in the years 0000 to 9999");
    return when;
}

/* iso([when]) */
static int iso(lua_State *L) {
    double when = opt_time(L, 1);
    /* In whole milliseconds first, cut and not rounded, so that a time never reads later than it
     * is. A double of this size has 0.2 us of grain: what is a millisecond but for that is taken
     * for one. */
    double ms = floor(when * 1000 + 0.0005);
    time_t seconds = (time_t)floor(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[64], date[32];
    strftime(date, sizeof date, "%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof text, "%04d-%s.%03dZ", tm.tm_year + 1900, date,
             (int)(ms - (double)seconds * 1000));
    lua_pushstring(L, text);
    return 1;
}

/* -- Parsing -------------------------------------------------------------------------------------
 */

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar; years begin in March, so
 * that the leap day is the last. */
static int64_t days_of(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Takes `count` digits off `*at`; -1 when they are not there. */
static int take_digits(const char **at, int count) {
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool take(const char **at, const char *any_of) {
    if (**at == 0 || strchr(any_of, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

static double take_fraction(const char **at) {
    double value = 0, unit = 0.1;
    for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
        value += unit * (**at - '0');
    return value;
}

/* "Z", "+hh:mm", "-hhmm": seconds east of UTC. */
static bool take_zone(const char **at, int *east) {
    *east = 0;
    if (take(at, "Zz"))
        return true;
    int sign = **at == '-' ? -1 : 1;
    if (!take(at, "+-"))
        return false;
    int hours = take_digits(at, 2);
    take(at, ":");
    int minutes = take_digits(at, 2);
    *east = sign * (hours * 3600 + minutes * 60);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

/* RFC 3339, and a date alone as its midnight. False: it is none. */
static bool parse(const char *at, double *out) {
    int year = take_digits(&at, 4);
    bool dashes = take(&at, "-");
    int month = take_digits(&at, 2);
    dashes = dashes && take(&at, "-");
    int day = take_digits(&at, 2);
    if (year < 0 || !dashes || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    *out = (double)days_of(year, month, day) * 86400;
    if (*at == 0)
        return true;
    if (!take(&at, "Tt "))
        return false;
    int hour = take_digits(&at, 2);
    bool colons = take(&at, ":");
    int minute = take_digits(&at, 2);
    colons = colons && take(&at, ":");
    int second = take_digits(&at, 2);
    if (!colons || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    double fraction = 0;
    if (take(&at, ".,")) {
        if (!isdigit((unsigned char)*at))
            return false;
        fraction = take_fraction(&at);
    }
    int east;
    if (!take_zone(&at, &east) || *at != 0)
        return false;
    *out += hour * 3600 + minute * 60 + second - east + fraction;
    return true;
}

static int parse_iso(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    double when;
    if (strlen(text) != size || !parse(text, &when))
        return vm_failf(L, ERR_INVALID,
                        "'%.60s' is no time such as 2026-01-31T12:00:00Z (ISO 8601 with a zone)",
                        text);
    lua_pushnumber(L, when);
    return 1;
}

/* format(when, format): as strftime. */
static int format(lua_State *L) {
    double when = opt_time(L, 1);
    size_t size;
    const char *pattern = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, size < 256 && strlen(pattern) == size, 2, "a format of at most 255 bytes");
    time_t seconds = (time_t)floor(when);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[2048], marked[260];
    /* strftime returns 0 for "too long" and for "empty" alike: the mark tells them apart. */
    snprintf(marked, sizeof marked, "%s.", pattern);
    size_t length = strftime(text, sizeof text, marked, &tm);
    luaL_argcheck(L, length > 0, 2, "the format gives too long a text");
    lua_pushlstring(L, text, length - 1);
    return 1;
}

static const luaL_Reg functions[] = {
    {"now", now},       {"monotonic", monotonic},
    {"iso", iso},       {"parse_iso", parse_iso},
    {"format", format}, {NULL, NULL},
};

int lua_open_time(lua_State *L) {
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
