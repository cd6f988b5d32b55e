#include "cli/render_params.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/memory.h"
#include "cli/output.h"
#include "cli/params.h"

/* What an option holds that was not given: no number that a person means. Numbers have NAN. */
#define NOT_GIVEN LONG_MIN

static struct {
    const char *characters, *size, *clip, *motion, *frames, *cameras, *look, *engine, *image;
    const char *skeleton, *maps, *params;
    long angles, samples, seed;
    double time, distance, height, fov;
    bool together, in_place, numpy, debug;
    struct option_list param;
} given = {
    .angles = NOT_GIVEN,
    .samples = NOT_GIVEN,
    .seed = NOT_GIVEN,
    .time = NAN,
    .distance = NAN,
    .height = NAN,
    .fov = NAN,
};

static const struct option table[] = {
    {"characters", 'c', OPTION_TEXT, &given.characters, "A,B", "more characters, by name or file"},
    {"together", 0, OPTION_FLAG, &given.together, NULL, "all of them in the same pictures"},
    {"clip", 0, OPTION_TEXT, &given.clip, "NAME",
     "which of the file's motions, by name or number (default: a calm one)"},
    {"motion", 'm', OPTION_TEXT, &given.motion, "FILE[#CLIP]",
     "play this: BVH, AMC, or a clip of another character"},
    {"in-place", 0, OPTION_FLAG, &given.in_place, NULL, "the motion without its way"},
    {"time", 't', OPTION_NUMBER, &given.time, "SECONDS", "when in the motion"},
    {"frames", 0, OPTION_TEXT, &given.frames, "FIRST:LAST:STEP",
     "several moments, by frames of the motion; the last is not taken"},
    {"angles", 'a', OPTION_INTEGER, &given.angles, "N", "views around each (default 8)"},
    {"distance", 0, OPTION_NUMBER, &given.distance, "METRES", "of the camera (default 3.5)"},
    {"height", 0, OPTION_NUMBER, &given.height, "METRES", "of the camera (default 1.6)"},
    {"fov", 0, OPTION_NUMBER, &given.fov, "DEGREES", "vertical field of view (default 50)"},
    {"cameras", 0, OPTION_TEXT, &given.cameras, "KIND|FILE",
     "others: sphere:count=200, ring, grid, path, random, framed; or a JSON file"},
    {"size", 's', OPTION_TEXT, &given.size, "WxH", "of a picture (default 512x512)"},
    {"samples", 0, OPTION_INTEGER, &given.samples, "N", "a pixel: 1, 4 (default), 8, 16, 32, 64"},
    {"look", 0, OPTION_TEXT, &given.look, "NAME|FILE", "studio (default), random, or a JSON file"},
    {"seed", 0, OPTION_INTEGER, &given.seed, "N", "of everything by chance"},
    {"engine", 0, OPTION_TEXT, &given.engine, "NAME", "stance (default) or blender"},
    {"image", 0, OPTION_TEXT, &given.image, "FORMAT", "png (default), jpeg, webp; none: labels"},
    {"maps", 0, OPTION_TEXT, &given.maps, "A,B",
     "kept as NPY: depth, person, part, cover, coverage, normal, flow, triangle"},
    {"numpy", 0, OPTION_FLAG, &given.numpy, NULL, "arrays of all landmarks, too"},
    {"debug", 0, OPTION_FLAG, &given.debug, NULL, "each picture once more, with skeletons"},
    {"skeleton", 0, OPTION_TEXT, &given.skeleton, "FORMAT",
     "mediapipe_33, coco_17, body_25, h36m_17, smpl_24"},
    {"param", 'p', OPTION_LIST, &given.param, "NAME=VALUE",
     "any other parameter of the workflow; VALUE is JSON or else text"},
    {"params", 0, OPTION_TEXT, &given.params, "FILE|-", "many of them, a JSON object"},
};

size_t render_options(struct option options[RENDER_OPTIONS_MAX]) {
    _Static_assert(sizeof table / sizeof *table <= RENDER_OPTIONS_MAX, "more room");
    memcpy(options, table, sizeof table);
    return sizeof table / sizeof *table;
}

/* -- Values ------------------------------------------------------------------------------------ */

/* A file's absolute path; NULL: there is none. */
static char *absolute(const char *path) {
    char real[PATH_MAX];
    return realpath(path, real) ? memory_need(strdup(real)) : NULL;
}

/* A name without "/" and "." that is no file is one of the host's own characters. */
static char *character_of(const char *operand) {
    char *path = absolute(operand);
    if (path) {
        return path;
    }
    if (operand[0] == '/' || !strpbrk(operand, "/.")) {
        return memory_need(strdup(operand));
    }
    char *folder = memory_need(getcwd(NULL, 0));
    path = memory_printf("%s/%s", folder, strncmp(operand, "./", 2) == 0 ? operand + 2 : operand);
    free(folder);
    return path;
}

static void add_character(json_t *characters, const char *operand) {
    char *path = character_of(operand);
    json_array_append_new(characters, json_string(path));
    free(path);
}

static json_t *list_of(const char *names, void (*add)(json_t *list, const char *name)) {
    json_t *list = json_array();
    char *copy = memory_need(strdup(names ? names : ""));
    for (char *rest = copy, *name; (name = strtok_r(rest, ",", &rest));) {
        add(list, name);
    }
    free(copy);
    return list;
}

static void add_name(json_t *list, const char *name) {
    json_array_append_new(list, json_string(name));
}

static int add_size(json_t *params) {
    char *end;
    long width = strtol(given.size, &end, 10), height = width;
    if (*end == 'x' || *end == 'X') {
        height = strtol(end + 1, &end, 10);
    }
    if (*end || width < 1 || height < 1) {
        return out_fail(EXIT_USAGE, "--size takes WIDTHxHEIGHT, as 512x512, not \"%s\"",
                        given.size);
    }
    json_object_set_new(params, "size", json_pack("[i, i]", (int)width, (int)height));
    return EXIT_OK;
}

/* FILE#CLIP, made absolute. */
static int add_motion(json_t *params) {
    char *file = memory_need(strdup(given.motion)), *clip = strrchr(file, '#');
    char *path = absolute(given.motion);
    if (!path && clip) {
        *clip++ = 0;
        path = absolute(file);
    } else {
        clip = NULL;
    }
    int code = path ? EXIT_OK : out_fail(EXIT_USAGE, "--motion %s: no such file", file);
    char *text = path ? memory_printf("%s%s%s", path, clip ? "#" : "", clip ? clip : "") : NULL;
    json_object_set_new(params, "motion", json_string(text ? text : ""));
    free(text);
    free(path);
    free(file);
    return code;
}

/* "sphere:count=200,elevation=[0,45]": commas inside brackets separate nothing. */
static int add_kind(json_t *cameras, const char *text) {
    int code = EXIT_OK, depth = 0;
    const char *start = text;
    for (const char *at = text; code == EXIT_OK; at++) {
        depth += *at == '[' || *at == '{' ? 1 : *at == ']' || *at == '}' ? -1 : 0;
        if (*at != 0 && (*at != ',' || depth > 0)) {
            continue;
        }
        char *pair = memory_need(strndup(start, (size_t)(at - start)));
        if (*pair != 0 && !strchr(pair, '=')) {
            code = out_fail(EXIT_USAGE, "--cameras takes KIND:NAME=VALUE,..., not \"%s\"", pair);
        } else if (*pair != 0) {
            code = params_add(cameras, pair);
        }
        free(pair);
        start = at + 1;
        if (*at == 0) {
            break;
        }
    }
    return code;
}

static int add_cameras(json_t *params) {
    char *path = absolute(given.cameras);
    json_t *cameras = json_object();
    int code = EXIT_OK;
    json_object_set_new(params, "cameras", cameras);
    if (path) {
        json_object_set_new(cameras, "file", json_string(path));
    } else if (strpbrk(given.cameras, "/.") && !strchr(given.cameras, ':')) {
        code = out_fail(EXIT_USAGE, "--cameras %s: no such file", given.cameras);
    } else {
        size_t kind = strcspn(given.cameras, ":");
        json_object_set_new(cameras, "kind", json_stringn(given.cameras, kind));
        if (given.cameras[kind] != 0) {
            code = add_kind(cameras, given.cameras + kind + 1);
        }
    }
    free(path);
    return code;
}

static int add_look(json_t *params) {
    char *path = absolute(given.look);
    json_t *look = path ? params_read(path) : json_string(given.look);
    free(path);
    if (!look) {
        return EXIT_USAGE;
    }
    json_object_set_new(params, "look", look);
    return EXIT_OK;
}

/* -- All of them ------------------------------------------------------------------------------- */

static void add_numbers(json_t *params) {
    const struct {
        const char *name;
        long value;
    } integers[] = {{"angles", given.angles}, {"samples", given.samples}, {"seed", given.seed}};
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"time", given.time},
                   {"distance", given.distance},
                   {"height", given.height},
                   {"fov", given.fov}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        if (integers[i].value != NOT_GIVEN) {
            json_object_set_new(params, integers[i].name, json_integer(integers[i].value));
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!isnan(numbers[i].value)) {
            json_object_set_new(params, numbers[i].name, json_real(numbers[i].value));
        }
    }
}

static void add_words(json_t *params) {
    const struct {
        const char *name, *value;
    } texts[] = {{"clip", given.clip},
                 {"frames", given.frames},
                 {"engine", given.engine},
                 {"image", given.image},
                 {"skeleton_format", given.skeleton}};
    const struct {
        const char *name;
        bool value;
    } flags[] = {{"together", given.together},
                 {"in_place", given.in_place},
                 {"save_numpy", given.numpy},
                 {"save_debug_images", given.debug}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].value) {
            json_object_set_new(params, texts[i].name, json_string(texts[i].value));
        }
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (flags[i].value) {
            json_object_set_new(params, flags[i].name, json_true());
        }
    }
    if (given.maps) {
        json_object_set_new(params, "maps", list_of(given.maps, add_name));
    }
}

static int add_all(json_t *params) {
    int code = given.size ? add_size(params) : EXIT_OK;
    if (code == EXIT_OK && given.motion) {
        code = add_motion(params);
    }
    if (code == EXIT_OK && given.cameras) {
        code = add_cameras(params);
    }
    if (code == EXIT_OK && given.look) {
        code = add_look(params);
    }
    add_numbers(params);
    add_words(params);
    for (size_t i = 0; code == EXIT_OK && i < given.param.count; i++) {
        code = params_add(params, given.param.items[i]);
    }
    return code;
}

json_t *render_params(char **files, int count, int *code) {
    json_t *params = given.params ? params_read(given.params) : json_object();
    if (!params) {
        *code = EXIT_USAGE;
        return NULL;
    }
    json_t *characters = list_of(given.characters, add_character);
    for (int i = count; i-- > 0;) {
        char *path = character_of(files[i]);
        json_array_insert_new(characters, 0, json_string(path));
        free(path);
    }
    bool none = json_array_size(characters) == 0;
    if (!none) {
        json_object_set(params, "characters", characters);
    }
    json_decref(characters);
    *code = none && !json_object_get(params, "characters") ? OPTIONS_GO_ON : add_all(params);
    if (*code == EXIT_OK) {
        return params;
    }
    json_decref(params);
    return NULL;
}
