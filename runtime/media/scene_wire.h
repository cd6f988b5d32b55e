/* scene_wire.h - what an importing process (media/scene_child.h) and who started it
 * (media/scene_process.h) say to each other over a socket; private to both.
 *
 * The asker sends a struct scene_query, the lists of its rig tables, and the file's bytes. The
 * child answers with struct scene_answer: any number of SCENE_NEEDS (a file beside the scene, named
 * by `words`; what comes back is its size as uint64_t, or SCENE_NONE, and its bytes), then one
 * SCENE_FAILED, or SCENE_BODY and what media/scene_pack.h makes of it. Numbers lie as in memory:
 * both are the same program. */
#ifndef STANCE_MEDIA_SCENE_WIRE_H
#define STANCE_MEDIA_SCENE_WIRE_H

#include <stdint.h>

#include "media/rig_tables.h"
#include "media/scene.h"

enum { SCENE_NAME_SIZE = 256, SCENE_WORDS_SIZE = 1024 };

#define SCENE_NONE UINT64_MAX

struct scene_query {
    uint64_t size;
    double stature; /* struct scene_options */
    bool bare;
    struct rig_tables rigs; /* its counts alone; its lists follow, in their order */
    char name[SCENE_NAME_SIZE];
};

enum scene_answer_kind { SCENE_NEEDS = 1, SCENE_FAILED, SCENE_BODY };

struct scene_answer {
    uint32_t kind;
    int32_t code; /* FAILED: enum err_code */
    char words[SCENE_WORDS_SIZE];
};

#endif
