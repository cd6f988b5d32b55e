/* version.c - `stance version`: the release, the commit, the compiler, the libraries, the kernels.
 */
#include <assimp/version.h>
#include <curl/curl.h>
#include <jansson.h>
#include <libdeflate.h>
#include <libwebsockets.h>
#include <luajit.h>
#include <openssl/crypto.h>
#include <png.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <uv.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "commit.h"
#include "core/version.h"
#include "media/assimp_load.h"
#include "net/curl_load.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

json_t *probe_libraries(void) {
    char assimp[32] = "not installed";
    if (assimp_load(NULL) == 0)
        snprintf(assimp, sizeof assimp, "%u.%u.%u", aiGetVersionMajor(), aiGetVersionMinor(),
                 aiGetVersionPatch());
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "luajit", LUAJIT_VERSION, "libuv",
        uv_version_string(), "libwebsockets", lws_get_library_version(), "libcurl",
        curl_load(NULL) == 0 ? curl_version_info(CURLVERSION_NOW)->version : "not installed",
        "openssl", OpenSSL_version(OPENSSL_VERSION), "sqlite", sqlite3_libversion(), "assimp",
        assimp, "libpng", png_get_libpng_ver(NULL), "libdeflate", LIBDEFLATE_VERSION_STRING,
        "jansson", jansson_version_str());
}

int cli_version(int argc, char **argv) {
    bool json = false;
    const struct option options[] = {
        {"json", 0, OPTION_FLAG, &json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "version", "  stance version\n  stance version --json",
        NULL,      "Which release and commit this is, and what it was built with.",
        options,   0,
        0};
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    char kernels[64];
    probe_kernels("cpu", kernels, sizeof kernels);
    json_t *libraries = probe_libraries();
    if (json) {
        json_t *all = json_pack("{s:s, s:s, s:s, s:s, s:o}", "version", STANCE_VERSION, "commit",
                                STANCE_COMMIT, "compiler", COMPILER, "kernels", kernels,
                                "libraries", libraries);
        out_json(all);
        json_decref(all);
        return EXIT_OK;
    }
    printf("stance %s (%s)\n%s\nkernels: %s\n", STANCE_VERSION, STANCE_COMMIT, COMPILER, kernels);
    const char *name;
    json_t *version;
    json_object_foreach(libraries, name, version) {
        printf("%s %s\n", name, json_string_value(version));
    }
    json_decref(libraries);
    return EXIT_OK;
}
