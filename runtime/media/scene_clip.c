/* scene_clip.c - the clips of a file: takes their keys from assimp and samples them. */
#include <assimp/scene.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/scene_parts.h"

/* -- Reading ----------------------------------------------------------------------------------- */

static int no_memory(const struct scene_import *in) {
    return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
}

/* Keys must rise in time and be finite; what is not is dropped. */
static int vector_keys(struct scene_keys *keys, const struct aiVectorKey *from, unsigned count,
                       double ticks) {
    keys->times = malloc((count + 1) * sizeof *keys->times);
    keys->values = malloc((3 * (size_t)count + 1) * sizeof *keys->values);
    if (keys->times == NULL || keys->values == NULL)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        float time = (float)(from[i].mTime / ticks),
              *value = keys->values + 3 * (size_t)keys->count;
        const struct aiVector3D *v = &from[i].mValue;
        if (!isfinite(time) || !isfinite(v->x) || !isfinite(v->y) || !isfinite(v->z))
            continue;
        if (keys->count > 0 && time < keys->times[keys->count - 1])
            continue;
        value[0] = v->x;
        value[1] = v->y;
        value[2] = v->z;
        keys->times[keys->count++] = time;
    }
    return 0;
}

static int turn_keys(struct scene_keys *keys, const struct aiQuatKey *from, unsigned count,
                     double ticks) {
    keys->times = malloc((count + 1) * sizeof *keys->times);
    keys->values = malloc((4 * (size_t)count + 1) * sizeof *keys->values);
    if (keys->times == NULL || keys->values == NULL)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        float time = (float)(from[i].mTime / ticks),
              *value = keys->values + 4 * (size_t)keys->count;
        const struct aiQuaternion *q = &from[i].mValue;
        float length = sqrtf(q->x * q->x + q->y * q->y + q->z * q->z + q->w * q->w);
        if (!isfinite(time) || !isfinite(length) || length < 1e-6f)
            continue;
        if (keys->count > 0 && time < keys->times[keys->count - 1])
            continue;
        value[0] = q->x / length;
        value[1] = q->y / length;
        value[2] = q->z / length;
        value[3] = q->w / length;
        keys->times[keys->count++] = time;
    }
    return 0;
}

static void count_keys(const struct scene_keys *keys, struct scene_clip *clip, uint32_t *most) {
    if (keys->count > 0)
        clip->seconds = fmax(clip->seconds, (double)keys->times[keys->count - 1]);
    if (keys->count > *most)
        *most = keys->count;
}

static int compare_tracks(const void *a, const void *b) {
    const struct scene_track *x = a, *y = b;
    return x->joint < y->joint ? -1 : x->joint > y->joint;
}

static void track_deinit(struct scene_track *track) {
    struct scene_keys *keys[] = {&track->position, &track->rotation, &track->scale};
    for (int k = 0; k < 3; k++) {
        free(keys[k]->times);
        free(keys[k]->values);
    }
}

/* Of several tracks for one joint the first stays. */
static void one_track_a_joint(struct scene_clip *clip) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < clip->track_count; i++) {
        if (kept > 0 && clip->tracks[kept - 1].joint == clip->tracks[i].joint)
            track_deinit(&clip->tracks[i]);
        else
            clip->tracks[kept++] = clip->tracks[i];
    }
    clip->track_count = kept;
}

static int read_tracks(const struct scene_import *in, struct scene_clip *clip,
                       const struct aiAnimation *from) {
    double ticks =
        from->mTicksPerSecond > 0 && isfinite(from->mTicksPerSecond) ? from->mTicksPerSecond : 25;
    uint32_t most = 1;
    clip->tracks = calloc(from->mNumChannels + 1, sizeof *clip->tracks);
    if (clip->tracks == NULL)
        return no_memory(in);
    for (unsigned i = 0; i < from->mNumChannels; i++) {
        const struct aiNodeAnim *channel = from->mChannels[i];
        int node = scene_find_node(in->scene, channel->mNodeName.data);
        if (node < 0)
            continue;
        struct scene_track *track = &clip->tracks[clip->track_count++];
        track->joint = (uint32_t)node;
        if (vector_keys(&track->position, channel->mPositionKeys, channel->mNumPositionKeys,
                        ticks) != 0 ||
            turn_keys(&track->rotation, channel->mRotationKeys, channel->mNumRotationKeys, ticks) !=
                0 ||
            vector_keys(&track->scale, channel->mScalingKeys, channel->mNumScalingKeys, ticks) != 0)
            return no_memory(in);
        count_keys(&track->position, clip, &most);
        count_keys(&track->rotation, clip, &most);
        count_keys(&track->scale, clip, &most);
    }
    qsort(clip->tracks, clip->track_count, sizeof *clip->tracks, compare_tracks);
    one_track_a_joint(clip);
    int rc = scene_morph_tracks_read(in, clip, from, ticks, &most);
    clip->rate = clip->seconds > 0 ? fmin(120, fmax(1, (most - 1) / clip->seconds)) : 1;
    return rc;
}

static uint64_t keys_of(const struct aiAnimation *from) {
    uint64_t count = 0;
    for (unsigned i = 0; i < from->mNumChannels; i++)
        count += (uint64_t)from->mChannels[i]->mNumPositionKeys +
                 from->mChannels[i]->mNumRotationKeys + from->mChannels[i]->mNumScalingKeys;
    for (unsigned i = 0; i < from->mNumMorphMeshChannels; i++) {
        const struct aiMeshMorphAnim *channel = from->mMorphMeshChannels[i];
        for (unsigned k = 0; k < channel->mNumKeys; k++)
            count += channel->mKeys[k].mNumValuesAndWeights;
    }
    return count;
}

int scene_clips_read(struct scene_import *in) {
    struct scene *scene = in->scene;
    const struct aiScene *tree = in->tree;
    uint64_t keys = 0;
    unsigned count = tree->mNumAnimations;
    if (count > SCENE_MAX_CLIPS) {
        scene_warn(scene, "%u clips; the first %d were read", count, SCENE_MAX_CLIPS);
        count = SCENE_MAX_CLIPS;
    }
    scene->clips = calloc(count + 1, sizeof *scene->clips);
    if (scene->clips == NULL)
        return no_memory(in);
    for (unsigned i = 0; i < count; i++) {
        const struct aiAnimation *from = tree->mAnimations[i];
        struct scene_clip *clip = &scene->clips[scene->clip_count];
        char unnamed[32];
        keys += keys_of(from);
        if (keys > SCENE_MAX_KEYS)
            return err_set(in->err, ERR_TOO_LARGE, "%s: more than %d million keys in its clips",
                           in->file, SCENE_MAX_KEYS >> 20);
        snprintf(unnamed, sizeof unnamed, "clip %u", i + 1);
        const char *bar = strrchr(from->mName.data, '|'); /* Blender writes "Armature|walk" */
        const char *name = bar != NULL && bar[1] != '\0' ? bar + 1 : from->mName.data;
        clip->name = strdup(*name != '\0' ? name : unnamed);
        scene->clip_count++;
        if (clip->name == NULL)
            return no_memory(in);
        int rc = read_tracks(in, clip, from);
        if (rc != 0)
            return rc;
        if (clip->track_count == 0 && clip->morph_track_count == 0) { /* of lamps and cameras */
            scene_clip_deinit(clip);
            scene->clip_count--;
        }
    }
    return 0;
}

void scene_clip_deinit(struct scene_clip *clip) {
    for (uint32_t i = 0; clip->tracks != NULL && i < clip->track_count; i++)
        track_deinit(&clip->tracks[i]);
    for (uint32_t i = 0; clip->morph_tracks != NULL && i < clip->morph_track_count; i++) {
        free(clip->morph_tracks[i].keys.times);
        free(clip->morph_tracks[i].keys.values);
    }
    free(clip->morph_tracks);
    free(clip->tracks);
    free(clip->name);
    *clip = (struct scene_clip){0};
}

/* -- Sampling ---------------------------------------------------------------------------------- */

/* The last key not after `time`, and how far the next one is reached, 0..1. */
static uint32_t find_key(const struct scene_keys *keys, float time, double *share) {
    uint32_t low = 0, high = keys->count - 1;
    *share = 0;
    if (time <= keys->times[0])
        return 0;
    if (time >= keys->times[high])
        return high;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (keys->times[middle] <= time)
            low = middle;
        else
            high = middle;
    }
    float span = keys->times[high] - keys->times[low];
    *share = span > 0 ? (double)((time - keys->times[low]) / span) : 0;
    return low;
}

static void sample_vector(const struct scene_keys *keys, float time, double out[3]) {
    double share;
    uint32_t key = find_key(keys, time, &share), next = key + 1 < keys->count ? key + 1 : key;
    for (int i = 0; i < 3; i++) {
        double a = (double)keys->values[3 * (size_t)key + i],
               b = (double)keys->values[3 * (size_t)next + i];
        out[i] = a + (b - a) * share;
    }
}

static void sample_turn(const struct scene_keys *keys, float time, double out[4]) {
    double share, dot = 0, length = 0;
    uint32_t key = find_key(keys, time, &share), next = key + 1 < keys->count ? key + 1 : key;
    const float *a = keys->values + 4 * (size_t)key, *b = keys->values + 4 * (size_t)next;
    for (int i = 0; i < 4; i++)
        dot += (double)a[i] * (double)b[i];
    double sign = dot < 0 ? -1 : 1, wa = 1 - share, wb = share, angle;
    if (fabs(dot) < 0.9995) { /* nearer than that the chord is the arc */
        angle = acos(fabs(dot));
        wa = sin((1 - share) * angle) / sin(angle);
        wb = sin(share * angle) / sin(angle);
    }
    for (int i = 0; i < 4; i++) {
        out[i] = wa * (double)a[i] + sign * wb * (double)b[i];
        length += out[i] * out[i];
    }
    for (int i = 0; i < 4; i++)
        out[i] /= sqrt(length);
}

float scene_keys_weight(const struct scene_keys *keys, double time) {
    double share;
    uint32_t key = find_key(keys, (float)time, &share),
             next = key + 1 < keys->count ? key + 1 : key;
    return keys->values[key] + (keys->values[next] - keys->values[key]) * (float)share;
}

/* Position, rotation and scale of a matrix without shear. */
static void decompose(const struct mat *a, double t[3], double q[4], double s[3]) {
    double r[9], flip = mat_determinant(a) < 0 ? -1 : 1;
    for (int c = 0; c < 3; c++) {
        t[c] = a->m[4 * c + 3];
        s[c] =
            flip * sqrt(a->m[c] * a->m[c] + a->m[4 + c] * a->m[4 + c] + a->m[8 + c] * a->m[8 + c]);
        for (int k = 0; k < 3; k++)
            r[3 * k + c] = s[c] != 0 ? a->m[4 * k + c] / s[c] : (k == c);
    }
    double trace = r[0] + r[4] + r[8];
    if (trace > 0) {
        double n = 2 * sqrt(1 + trace);
        q[0] = (r[7] - r[5]) / n, q[1] = (r[2] - r[6]) / n, q[2] = (r[3] - r[1]) / n, q[3] = n / 4;
        return;
    }
    int i = r[4] > r[0] ? 1 : 0;
    i = r[8] > r[4 * i] ? 2 : i;
    int j = (i + 1) % 3, k = (i + 2) % 3;
    double n = 2 * sqrt(fmax(1e-12, 1 + r[4 * i] - r[4 * j] - r[4 * k]));
    q[i] = n / 4;
    q[j] = (r[3 * i + j] + r[3 * j + i]) / n;
    q[k] = (r[3 * i + k] + r[3 * k + i]) / n;
    q[3] = (r[3 * k + j] - r[3 * j + k]) / n;
}

struct mat scene_track_sample(const struct scene_track *track, const struct mat *rest,
                              double time) {
    double t[3], q[4], s[3];
    if (track->position.count == 0 || track->rotation.count == 0 || track->scale.count == 0)
        decompose(rest, t, q, s);
    if (track->position.count > 0)
        sample_vector(&track->position, (float)time, t);
    if (track->rotation.count > 0)
        sample_turn(&track->rotation, (float)time, q);
    if (track->scale.count > 0)
        sample_vector(&track->scale, (float)time, s);
    return mat_compose(t, q, s);
}
