/* motion.c - opens files of motions and answers questions about them. */
#include "media/motion.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/motion_parts.h"
#include "media/scene.h"
#include "media/scene_process.h"

/* -- Life -------------------------------------------------------------------------------------- */

struct motion *motion_new(const char *name, const char *format) {
    struct motion *motion = calloc(1, sizeof *motion);
    if (motion == NULL)
        return NULL;
    const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    motion->name = dot != NULL && dot != base ? strndup(base, (size_t)(dot - base)) : strdup(base);
    if (motion->name == NULL) {
        free(motion);
        return NULL;
    }
    snprintf(motion->format, sizeof motion->format, "%s", format);
    motion->world = quat_identity();
    atomic_init(&motion->holders, 1);
    return motion;
}

struct motion *motion_retain(struct motion *motion) {
    atomic_fetch_add_explicit(&motion->holders, 1, memory_order_relaxed);
    return motion;
}

static void track_deinit(struct motion_track *track) {
    free(track->name);
    free(track->turns);
    free(track->places);
}

void motion_release(struct motion *motion) {
    if (motion == NULL || atomic_fetch_sub_explicit(&motion->holders, 1, memory_order_acq_rel) > 1)
        return;
    motion_figure_deinit(&motion->figure);
    for (uint32_t i = 0; i < motion->joint_count; i++)
        free(motion->joints[i].name);
    for (uint32_t i = 0; i < motion->track_count; i++)
        track_deinit(&motion->tracks[i]);
    free(motion->joints);
    free(motion->rests);
    free(motion->tracks);
    scene_release(motion->scene);
    free(motion->name);
    free(motion);
}

struct motion_joint *motion_joint_add(struct motion *motion, const char *name, size_t length,
                                      int parent) {
    if (motion->joints == NULL)
        motion->joints = calloc(2 * MOTION_MAX_JOINTS, sizeof *motion->joints);
    if (motion->joints == NULL || motion->joint_count == 2 * MOTION_MAX_JOINTS)
        return NULL;
    struct motion_joint *joint = &motion->joints[motion->joint_count];
    *joint = (struct motion_joint){.parent = parent, .rest = quat_identity(), .moving = -1};
    joint->name = strndup(name, length);
    if (joint->name == NULL)
        return NULL;
    motion->joint_count++;
    return joint;
}

int motion_track_add(struct motion *motion, const char *name, uint32_t frames, double rate,
                     struct err *err) {
    if ((uint64_t)frames * motion->joint_count > MOTION_MAX_TURNS)
        return err_set(err, ERR_TOO_LARGE, "%s: %u frames of %u joints; %d million turns are read",
                       motion->name, frames, motion->joint_count, MOTION_MAX_TURNS >> 20);
    struct motion_track *grown =
        realloc(motion->tracks, (motion->track_count + 1) * sizeof *motion->tracks);
    struct motion_track track = {.rate = rate, .frames = frames};
    if (grown == NULL)
        goto fail;
    motion->tracks = grown;
    track.name = strdup(name != NULL ? name : motion->name);
    track.turns = malloc(4 * sizeof *track.turns * frames * motion->joint_count + 1);
    track.places = malloc(3 * sizeof *track.places * frames * motion->moving_count + 1);
    if (track.name == NULL || track.turns == NULL || track.places == NULL)
        goto fail;
    motion->tracks[motion->track_count++] = track;
    return 0;
fail:
    track_deinit(&track);
    return err_set(err, ERR_NO_MEMORY, "%s: no memory for %u frames", motion->name, frames);
}

/* -- How it stands ----------------------------------------------------------------------------- */

/* Turns in the file's world and places of a frame of a skeleton of its own. */
static void sample_file(const struct motion *motion, const struct motion_track *track,
                        uint32_t frame, struct quat *turns, struct vec *places) {
    const float *turn = track->turns + 4 * (size_t)motion->joint_count * frame;
    const float *place = track->places + 3 * (size_t)motion->moving_count * frame;
    for (uint32_t i = 0; i < motion->joint_count; i++, turn += 4) {
        const struct motion_joint *joint = &motion->joints[i];
        const float *moved = joint->moving >= 0 ? place + 3 * (size_t)joint->moving : NULL;
        struct quat q = {(double)turn[0], (double)turn[1], (double)turn[2], (double)turn[3]};
        struct vec offset = joint->offset;
        if (moved != NULL)
            offset = (struct vec){(double)moved[0], (double)moved[1], (double)moved[2]};
        if (joint->parent < 0) {
            turns[i] = q;
            places[i] = offset;
        } else {
            turns[i] = quat_unit(quat_multiply(turns[joint->parent], q));
            places[i] = vec_add(places[joint->parent], quat_turn(turns[joint->parent], offset));
        }
    }
}

/* Which way is up in the file's world: where heads are above hips most of the time. */
static void find_up(struct motion *motion, struct quat *turns, struct vec *places) {
    enum { SAMPLES = 64 };
    static const struct vec axes[] = {{0, 1, 0}, {0, 0, 1}, {1, 0, 0}};
    struct vec sum = {0, 0, 0};
    const struct motion_track *track = &motion->tracks[0];
    const int *bones = motion->figure.bones;
    uint32_t samples = track->frames < SAMPLES ? track->frames : SAMPLES;
    for (uint32_t i = 0; i < samples; i++) {
        sample_file(motion, track, (uint32_t)((uint64_t)i * track->frames / samples), turns,
                    places);
        struct vec chest =
            vec_mix(places[bones[RIG_LEFT_UPPER_ARM]], places[bones[RIG_RIGHT_UPPER_ARM]], 0.5);
        sum = vec_add(sum, vec_unit(vec_sub(chest, motion_figure_hips(&motion->figure, places))));
    }
    sum = vec_unit(sum);
    struct vec best = axes[0];
    double most = 0.5; /* y it is, unless another axis is clearly meant */
    for (int i = 0; i < 6; i++) {
        struct vec axis = vec_scale(axes[i / 2], i % 2 == 0 ? 1 : -1);
        if (vec_dot(axis, sum) > most) {
            most = vec_dot(axis, sum);
            best = axis;
        }
    }
    motion->world = quat_between(best, axes[0]);
}

int motion_finish(struct motion *motion, const struct rig_tables *rigs, const char *file,
                  struct err *err) {
    struct motion_figure *figure = &motion->figure;
    uint32_t count = motion->joint_count;
    int rc = motion_figure_init(figure, count, err);
    struct quat *turns = malloc(count * sizeof *turns);
    struct vec *places = malloc(count * sizeof *places);
    motion->rests = malloc(count * sizeof *motion->rests);
    bool ready = turns != NULL && places != NULL && motion->rests != NULL;
    if (rc == 0 && !ready)
        rc = err_set(err, ERR_NO_MEMORY, "%s: no memory for its skeleton", file);
    for (uint32_t i = 0; ready && rc == 0 && i < count; i++) {
        const struct motion_joint *joint = &motion->joints[i];
        int above = joint->parent;
        motion->rests[i] =
            above < 0 ? joint->rest : quat_multiply(motion->rests[above], joint->rest);
        figure->names[i] = joint->name;
        figure->parents[i] = above;
        figure->places[i] = above < 0 ? joint->offset
                                      : vec_add(figure->places[above],
                                                quat_turn(motion->rests[above], joint->offset));
    }
    if (rc == 0)
        rc = motion_figure_find(figure, rigs, file, err);
    if (rc == 0)
        find_up(motion, turns, places);
    free(turns);
    free(places);
    return rc;
}

void motion_sample(const struct motion *motion, uint32_t clip, uint32_t frame, struct quat *turns,
                   struct vec *places, float *scratch) {
    const struct motion_figure *figure = &motion->figure;
    const struct motion_track *track = &motion->tracks[clip];
    if (motion->scene != NULL) {
        scene_pose(motion->scene, (int)(motion->first + clip), frame / track->rate, scratch);
        for (uint32_t i = 0; i < figure->count; i++) {
            struct mat moved;
            for (int k = 0; k < 12; k++)
                moved.m[k] = (double)scratch[12 * (size_t)i + (size_t)k];
            turns[i] = quat_of_mat(&moved);
            places[i] = mat_point(&moved, figure->places[i]);
        }
        return;
    }
    sample_file(motion, track, frame, turns, places);
    for (uint32_t i = 0; i < figure->count; i++) {
        struct quat away = quat_multiply(turns[i], quat_inverse(motion->rests[i]));
        turns[i] = quat_unit(
            quat_multiply(motion->world, quat_multiply(away, quat_inverse(figure->upright))));
        places[i] = quat_turn(motion->world, places[i]);
    }
}

/* -- Clips of bodies --------------------------------------------------------------------------- */

int motion_of_scene(struct scene *scene, struct motion **out, struct err *err) {
    struct motion *motion = motion_new(scene_name(scene), scene_report(scene)->format);
    int rc = 0;
    if (motion == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for its clips", scene_name(scene));
    motion->scene = scene_retain(scene);
    rc = motion_body_figure(scene, &motion->figure, err);
    if (rc != 0)
        goto fail;
    if (scene_clip_count(scene) == 0) {
        rc = err_set(err, ERR_INVALID, "%s: the file has no clip", scene_name(scene));
        goto fail;
    }
    motion->tracks = calloc(scene_clip_count(scene), sizeof *motion->tracks);
    if (motion->tracks == NULL)
        goto no_memory;
    for (uint32_t i = 0; i < scene_clip_count(scene); i++) {
        struct motion_track *track = &motion->tracks[i];
        double frames =
            ceil(scene_clip_seconds(scene, i) * fmax(24, scene_clip_rate(scene, i)) - 1e-6);
        track->frames = (uint32_t)fmin(MOTION_MAX_FRAMES, 1 + fmax(0, frames));
        track->rate = frames > 0 ? frames / scene_clip_seconds(scene, i) : 24;
        track->name = strdup(scene_clip_name(scene, i));
        motion->track_count++;
        if (track->name == NULL)
            goto no_memory;
    }
    *out = motion;
    return 0;
no_memory:
    rc = err_set(err, ERR_NO_MEMORY, "%s: no memory for its clips", scene_name(scene));
fail:
    motion_release(motion);
    return rc;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static bool starts(const void *bytes, size_t size, const char *word) {
    struct motion_text text;
    motion_text_init(&text, bytes, size, "", NULL);
    return motion_word_is(motion_text_word(&text, false), word);
}

/* AMC files start with comments, then a line that starts with a colon or a frame's number. */
static bool is_amc(const void *bytes, size_t size) {
    struct motion_text text;
    motion_text_init(&text, bytes, size, "", NULL);
    for (;;) {
        struct motion_word word = motion_text_word(&text, false);
        if (word.length == 0)
            return false;
        if (word.at[0] != '#')
            return motion_word_is(word, ":FULLY-SPECIFIED") || motion_word_is(word, ":DEGREES") ||
                   motion_word_is(word, ":RADIANS") || motion_word_is(word, "1");
        motion_text_rest(&text);
    }
}

static int open_text(const void *bytes, size_t size, const char *name,
                     const struct motion_source *source, struct motion **out, struct err *err) {
    struct motion_text text, bones;
    bool bvh = starts(bytes, size, "HIERARCHY");
    struct motion *motion = motion_new(name, bvh ? "bvh" : "acclaim");
    int rc;
    if (motion == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to read it", name);
    motion_text_init(&text, bytes, size, name, err);
    if (bvh) {
        rc = motion_read_bvh(motion, &text);
    } else if (source->bones == NULL) {
        rc = err_set(err, ERR_NOT_FOUND,
                     "%s: an AMC file needs the ASF file of its skeleton: name it", name);
    } else {
        motion_text_init(&bones, source->bones, source->bones_size,
                         source->skeleton != NULL ? source->skeleton : "its skeleton", err);
        rc = motion_read_acclaim(motion, &bones, &text);
    }
    if (rc == 0)
        rc = motion_finish(motion, source->rigs, name, err);
    if (rc == 0)
        *out = motion;
    else
        motion_release(motion);
    return rc;
}

static int open_scene(const void *bytes, size_t size, const char *name,
                      const struct motion_source *source, struct motion **out, struct err *err) {
    struct scene *scene = NULL;
    const struct scene_options options = {.rigs = source->rigs, .bare = true};
    int rc = source->limits == NULL ? scene_open_bytes(bytes, size, name, &options, &scene, err)
                                    : scene_open_bytes_confined(bytes, size, name, &options,
                                                                source->limits, &scene, err);
    if (rc == 0)
        rc = motion_of_scene(scene, out, err);
    scene_release(scene);
    return rc;
}

int motion_open_bytes(const void *bytes, size_t size, const char *name,
                      const struct motion_source *source, struct motion **out, struct err *err) {
    if (size > MOTION_MAX_FILE)
        return err_set(err, ERR_TOO_LARGE, "%s: %zu MiB; motions up to %d MiB are read", name,
                       size >> 20, MOTION_MAX_FILE >> 20);
    if (starts(bytes, size, "HIERARCHY") || is_amc(bytes, size))
        return open_text(bytes, size, name, source, out, err);
    return open_scene(bytes, size, name, source, out, err);
}

/* The whole of a file. */
static int read_file(const char *path, char **out, size_t *size, struct err *err) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    char *bytes = NULL;
    if (fd < 0)
        return err_set_errno(err, errno, "%s", path);
    *size = 0;
    if (fstat(fd, &info) != 0)
        rc = err_set_errno(err, errno, "%s", path);
    else if (!S_ISREG(info.st_mode))
        rc = err_set(err, ERR_INVALID, "%s: not a file", path);
    else if (info.st_size > MOTION_MAX_FILE)
        rc = err_set(err, ERR_TOO_LARGE, "%s: %lld MiB; motions up to %d MiB are read", path,
                     (long long)info.st_size >> 20, MOTION_MAX_FILE >> 20);
    else if ((bytes = malloc((size_t)info.st_size + 1)) == NULL)
        rc = err_set(err, ERR_NO_MEMORY, "%s: no memory to read it", path);
    while (rc == 0 && *size < (size_t)info.st_size) {
        ssize_t n = read(fd, bytes + *size, (size_t)info.st_size - *size);
        if (n == 0)
            break;
        if (n > 0)
            *size += (size_t)n;
        else if (errno != EINTR)
            rc = err_set_errno(err, errno, "%s", path);
    }
    close(fd);
    if (rc != 0)
        free(bytes);
    else
        *out = bytes;
    return rc;
}

/* walk_01.amc: walk_01.asf, walk.asf, or those in capitals. */
static int read_skeleton(const char *path, char **out, size_t *size, struct err *err) {
    static const char *const endings[] = {"asf", "ASF"};
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.'), *end = dot != NULL ? dot : base + strlen(base);
    while (end > base) {
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
            char *beside = NULL;
            struct err why = {0};
            int rc = asprintf(&beside, "%.*s.%s", (int)(end - path), path, endings[i]) < 0
                         ? err_set(&why, ERR_NO_MEMORY, "%s: no memory to read it", path)
                         : read_file(beside, out, size, &why);
            free(beside);
            if (rc != 0 && rc != ERR_NOT_FOUND)
                return err_set(err, (enum err_code)rc, "%s", why.message);
            if (rc == 0)
                return 0;
        }
        while (end > base && *--end != '_') {
        }
    }
    return err_set(err, ERR_NOT_FOUND, "%s: the ASF file of its skeleton is not beside it; name it",
                   path);
}

/* A file with other files beside it is read by its path. */
static int open_scene_file(const char *path, const struct motion_source *source,
                           struct motion **out, struct err *err) {
    struct scene *scene = NULL;
    const struct scene_options options = {.rigs = source->rigs, .bare = true};
    int rc = source->limits == NULL
                 ? scene_open(path, &options, &scene, err)
                 : scene_open_confined(path, &options, source->limits, &scene, err);
    if (rc == 0)
        rc = motion_of_scene(scene, out, err);
    scene_release(scene);
    return rc;
}

static int open_path(const char *path, const struct motion_source *source, struct motion **out,
                     struct err *err) {
    char *bytes = NULL, *bones = NULL;
    size_t size = 0;
    struct motion_source named = *source;
    int rc = read_file(path, &bytes, &size, err);
    if (rc != 0)
        return rc;
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    bool amc = is_amc(bytes, size);
    if (amc && named.bones == NULL) {
        rc = named.skeleton != NULL ? read_file(named.skeleton, &bones, &named.bones_size, err)
                                    : read_skeleton(path, &bones, &named.bones_size, err);
        named.bones = bones;
    }
    if (rc == 0)
        rc = amc || starts(bytes, size, "HIERARCHY")
                 ? open_text(bytes, size, name, &named, out, err)
                 : open_scene_file(path, source, out, err);
    free(bytes);
    free(bones);
    return rc;
}

/* Keeps one clip. */
static int choose_clip(struct motion *motion, const char *name, struct err *err) {
    int clip = motion_find_clip(motion, name);
    if (clip < 0)
        return err_set(err, ERR_NOT_FOUND, "%s has no clip \"%s\"; it has %u, the first is \"%s\"",
                       motion->name, name, motion->track_count, motion->tracks[0].name);
    struct motion_track chosen = motion->tracks[clip];
    motion->tracks[clip] = motion->tracks[0];
    motion->tracks[0] = chosen;
    for (uint32_t i = 1; i < motion->track_count; i++)
        track_deinit(&motion->tracks[i]);
    motion->track_count = 1;
    motion->first += (uint32_t)clip;
    return 0;
}

int motion_open(const char *path, const struct motion_source *source, struct motion **out,
                struct err *err) {
    const char *hash = strrchr(path, '#');
    struct motion *motion = NULL;
    bool whole =
        hash == NULL || hash[1] == '\0' || access(path, F_OK) == 0; /* names may have a # */
    char *file = whole ? strdup(path) : strndup(path, (size_t)(hash - path));
    int rc = file == NULL ? err_set(err, ERR_NO_MEMORY, "%s: no memory to read it", path)
                          : open_path(file, source, &motion, err);
    if (motion != NULL && !whole)
        rc = choose_clip(motion, hash + 1, err);
    if (rc == 0)
        *out = motion;
    else
        motion_release(motion);
    free(file);
    return rc;
}

/* -- Questions --------------------------------------------------------------------------------- */

const char *motion_name(const struct motion *motion) {
    return motion->name;
}

const char *motion_format(const struct motion *motion) {
    return motion->format;
}

uint32_t motion_clip_count(const struct motion *motion) {
    return motion->track_count;
}

const char *motion_clip_name(const struct motion *motion, uint32_t clip) {
    return motion->tracks[clip].name;
}

double motion_clip_seconds(const struct motion *motion, uint32_t clip) {
    return (motion->tracks[clip].frames - 1) / motion->tracks[clip].rate;
}

double motion_clip_rate(const struct motion *motion, uint32_t clip) {
    return motion->tracks[clip].rate;
}

int motion_find_clip(const struct motion *motion, const char *name) {
    char *end;
    for (uint32_t i = 0; i < motion->track_count; i++) {
        assert(motion->tracks[i].name != NULL);
        if (strcmp(motion->tracks[i].name, name) == 0)
            return (int)i;
    }
    for (uint32_t i = 0; i < motion->track_count; i++)
        if (strcasecmp(motion->tracks[i].name, name) == 0)
            return (int)i;
    unsigned long number = strtoul(name, &end, 10);
    return *name != '\0' && *end == '\0' && number >= 1 && number <= motion->track_count
               ? (int)number - 1
               : -1;
}

const char *motion_bone(const struct motion *motion, enum rig_bone bone) {
    int joint = motion->figure.bones[bone];
    return joint >= 0 ? motion->figure.names[joint] : NULL;
}
