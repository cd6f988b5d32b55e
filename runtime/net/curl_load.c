#include "net/curl_load.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdarg.h>

#include "core/lazy_library.h"

/* The header makes macros of these, to see that there are three arguments. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

static struct lazy_library library = {
    .names = {"libcurl.so.4", "libcurl.so"},
    .package = "libcurl4",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int curl_load(struct err *err) {
    int code = lazy_library_load(&library, err);
    if (code == 0)
        pthread_once(&once, start);
    return code;
}

LAZY_FORWARD(&library, CURLcode, curl_global_init, (long flags), (flags))
LAZY_FORWARD(&library, CURL *, curl_easy_init, (void), ())
LAZY_FORWARD_VOID(&library, curl_easy_cleanup, (CURL * easy), (easy))
LAZY_FORWARD_VOID(&library, curl_easy_reset, (CURL * easy), (easy))
LAZY_FORWARD(&library, CURLcode, curl_easy_perform, (CURL * easy), (easy))
LAZY_FORWARD(&library, CURLcode, curl_easy_pause, (CURL * easy, int what), (easy, what))
LAZY_FORWARD(&library, const char *, curl_easy_strerror, (CURLcode code), (code))
LAZY_FORWARD(&library, CURLM *, curl_multi_init, (void), ())
LAZY_FORWARD(&library, CURLMcode, curl_multi_cleanup, (CURLM * multi), (multi))
LAZY_FORWARD(&library, CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL *easy), (multi, easy))
LAZY_FORWARD(&library, CURLMcode, curl_multi_remove_handle, (CURLM * multi, CURL *easy),
             (multi, easy))
LAZY_FORWARD(&library, CURLMcode, curl_multi_assign,
             (CURLM * multi, curl_socket_t socket, void *arg), (multi, socket, arg))
LAZY_FORWARD(&library, CURLMsg *, curl_multi_info_read, (CURLM * multi, int *left), (multi, left))
LAZY_FORWARD(&library, CURLMcode, curl_multi_socket_action,
             (CURLM * multi, curl_socket_t socket, int events, int *running),
             (multi, socket, events, running))
LAZY_FORWARD(&library, struct curl_slist *, curl_slist_append,
             (struct curl_slist * list, const char *line), (list, line))
LAZY_FORWARD_VOID(&library, curl_slist_free_all, (struct curl_slist * list), (list))
LAZY_FORWARD(&library, curl_version_info_data *, curl_version_info, (CURLversion version),
             (version))

/* What follows the option is one long, curl_off_t or pointer: all of a register's size where we
 * run. */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *),
               "options are passed on as one word");

/* NOLINTBEGIN(bugprone-macro-parentheses): types take no parentheses */
#define FORWARD_OPTION(result, name, handle_type, option_type)                                     \
    result name(handle_type *handle, option_type option, ...) {                                    \
        va_list rest;                                                                              \
        va_start(rest, option);                                                                    \
        void *value = va_arg(rest, void *);                                                        \
        va_end(rest);                                                                              \
        result (*function)(handle_type *, option_type, ...) =                                      \
            (result(*)(handle_type *, option_type, ...))lazy_library_find(&library, #name);        \
        return function(handle, option, value);                                                    \
    }

FORWARD_OPTION(CURLcode, curl_easy_setopt, CURL, CURLoption)
FORWARD_OPTION(CURLcode, curl_easy_getinfo, CURL, CURLINFO)
FORWARD_OPTION(CURLMcode, curl_multi_setopt, CURLM, CURLMoption)
/* NOLINTEND(bugprone-macro-parentheses) */
