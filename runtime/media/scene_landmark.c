/* scene_landmark.c - places MediaPipe's 33 landmarks. Limb joints are the skeleton's own; hands and
 * feet are completed from the skin that follows them; scene_face.c does the face.
 *
 * Hips: a rig's hip joint that lies low in the leg is put where hips are (raise_hips).
 *
 * Feet: heel and foot index are the rear and front ends of the lower part of the foot's skin, along
 * the line from ankle to toes. Hands without finger joints: index and little finger's knuckles are
 * the front and back edges of the hand at half its length (without the skin of a thumb's bones),
 * the thumb the front edge at a third: in every usual bind pose the thumbs point forward. An inner
 * landmark's radius is the median distance to the skin over 26 directions. */
#include "media/scene_landmark.h"

#include <stdlib.h>

void landmark_set(struct scene *scene, int landmark, struct vec at, int node) {
    struct gpu_anchor *anchor = &scene->anchors[landmark];
    *anchor = (struct gpu_anchor){.position = {(float)at.x, (float)at.y, (float)at.z},
                                  .weight = {1, 0, 0, 0}};
    anchor->joint[0] = (uint16_t)node;
    anchor->radius = (float)(0.008 * scene->report.stature);
    scene->known[landmark] = true;
}

static struct vec place(const struct scene *scene, int node) {
    return mat_origin(&scene->joints[node].bind);
}

/* -- Limbs ------------------------------------------------------------------------------------- */

static void put_joints(struct scene *scene) {
    static const struct {
        int landmark, part;
    } pairs[] = {{LANDMARK_SHOULDER, RIG_LEFT_UPPER_ARM},
                 {LANDMARK_ELBOW, RIG_LEFT_LOWER_ARM},
                 {LANDMARK_WRIST, RIG_LEFT_HAND},
                 {LANDMARK_HIP, RIG_LEFT_UPPER_LEG},
                 {LANDMARK_KNEE, RIG_LEFT_LOWER_LEG},
                 {LANDMARK_ANKLE, RIG_LEFT_FOOT},
                 {LANDMARK_PINKY, RIG_LEFT_LITTLE_PROXIMAL},
                 {LANDMARK_INDEX, RIG_LEFT_INDEX_PROXIMAL},
                 {LANDMARK_THUMB, RIG_LEFT_THUMB_PROXIMAL}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        for (int side = 0; side < 2; side++) {
            int node = scene->rig.joint[pairs[i].part + side];
            if (node >= 0)
                landmark_set(scene, pairs[i].landmark + side, place(scene, node), node);
        }
    }
}

/* Skin before and behind. */
static bool is_within(const struct probe *skin, struct vec at) {
    return probe_ray(skin, at, (struct vec){0, 0, 1}, false) >= 0 &&
           probe_ray(skin, at, (struct vec){0, 0, -1}, false) >= 0;
}

/* Where a thigh is much shorter than its shin, the joint that it turns about lies low in the leg;
 * the hip is then where the thigh would have nine tenths of the shin's length, which is where pose
 * networks see it, if there is body, and goes with the pelvis. False without memory. */
static bool raise_hips(struct scene *scene, const struct scene_mesh *mesh) {
    const int *node = scene->rig.joint;
    for (int side = 0; side < 2; side++) {
        int upper = node[RIG_LEFT_UPPER_LEG + side], lower = node[RIG_LEFT_LOWER_LEG + side],
            foot = node[RIG_LEFT_FOOT + side];
        if (upper < 0 || lower < 0 || foot < 0 || node[RIG_HIPS] < 0)
            continue;
        struct vec knee = place(scene, lower), thigh = vec_sub(place(scene, upper), knee);
        double shin = vec_distance(knee, place(scene, foot)), length = vec_length(thigh);
        if (length <= 0 || length >= 0.8 * shin)
            continue;
        struct vec at = vec_add(knee, vec_scale(thigh, 0.9 * shin / length));
        struct probe skin;
        if (!probe_init(&skin, scene, mesh, -1))
            return false;
        if (is_within(&skin, at))
            landmark_set(scene, LANDMARK_HIP + side, at, node[RIG_HIPS]);
        probe_deinit(&skin);
    }
    return true;
}

/* A limb that ends without a joint: the skin's farthest point from the last joint. */
static bool put_end(struct scene *scene, const struct scene_mesh *mesh, int landmark, int part,
                    int above) {
    const int *node = scene->rig.joint;
    struct probe skin;
    if (node[part] >= 0 || node[above] < 0)
        return true;
    if (!probe_init(&skin, scene, mesh, node[above]))
        return false;
    struct vec from = place(scene, node[above]), end = from;
    for (uint32_t i = 0; i < skin.vertex_count; i++)
        if (vec_distance(probe_vertex(&skin, i), from) > vec_distance(end, from))
            end = probe_vertex(&skin, i);
    probe_deinit(&skin);
    if (vec_distance(end, from) > 0)
        landmark_set(scene, landmark, vec_mix(from, end, 0.85), node[above]);
    return true;
}

/* -- Hands ------------------------------------------------------------------------------------- */

/* The middle depth of the hand's skin between two shares of its length, at its front (+) or back
 * (-) edge. */
static bool hand_edge(const struct probe *skin, struct vec wrist, struct vec along,
                      struct vec front, double length, double share, double window, double sign,
                      struct vec *out) {
    double edge = -INFINITY, up = 0;
    struct vec side = vec_cross(along, front);
    for (uint32_t i = 0; i < skin->vertex_count; i++) {
        struct vec d = vec_sub(probe_vertex(skin, i), wrist);
        if (fabs(vec_dot(d, along) / length - share) > window || sign * vec_dot(d, front) < edge)
            continue;
        edge = sign * vec_dot(d, front);
        up = vec_dot(d, side);
    }
    if (!isfinite(edge))
        return false;
    *out = vec_add(wrist,
                   vec_add(vec_scale(along, share * length), vec_scale(front, sign * 0.8 * edge)));
    *out = vec_add(*out, vec_scale(side, 0.7 * up));
    return true;
}

/* The thumb's skin is no part of the palm's edge. */
static void drop_thumb(struct probe *skin, const struct scene *scene, int side) {
    const int *node = scene->rig.joint;
    int thumb = node[RIG_LEFT_THUMB_METACARPAL + side];
    if (thumb < 0)
        thumb = node[RIG_LEFT_THUMB_PROXIMAL + side];
    uint32_t kept = 0;
    for (uint32_t i = 0; thumb >= 0 && i < skin->vertex_count; i++) {
        uint16_t joint = skin->mesh->vertices[skin->vertices[i]].joints[0];
        int at = scene->joints[joint].node;
        while (at >= 0 && at != thumb)
            at = scene->joints[at].parent;
        if (at < 0)
            skin->vertices[kept++] = skin->vertices[i];
    }
    skin->vertex_count = thumb >= 0 ? kept : skin->vertex_count;
}

static bool put_hand(struct scene *scene, const struct scene_mesh *mesh, int side) {
    const int *node = scene->rig.joint;
    static const struct {
        int landmark;
        double share, sign;
    } fingers[] = {{LANDMARK_INDEX, 0.5, 1}, {LANDMARK_PINKY, 0.5, -1}, {LANDMARK_THUMB, 0.34, 1}};
    int hand = node[RIG_LEFT_HAND + side], arm = node[RIG_LEFT_LOWER_ARM + side];
    struct probe skin;
    if (hand < 0 || arm < 0)
        return true;
    if (!probe_init(&skin, scene, mesh, hand))
        return false;
    drop_thumb(&skin, scene, side);
    struct vec wrist = place(scene, hand), along = vec_unit(vec_sub(wrist, place(scene, arm))), at;
    struct vec front = {0, 0, 1};
    double length = 0;
    front = vec_unit(vec_sub(front, vec_scale(along, along.z)));
    for (uint32_t i = 0; i < skin.vertex_count; i++)
        length = fmax(length, vec_dot(vec_sub(probe_vertex(&skin, i), wrist), along));
    /* Hands of few vertices have none in a narrow slice. */
    static const double windows[] = {0.17, 0.4, 2};
    for (int i = 0; length > 0 && i < 9; i++) {
        int landmark = fingers[i % 3].landmark + side;
        if (!scene->known[landmark] &&
            hand_edge(&skin, wrist, along, front, length, fingers[i % 3].share, windows[i / 3],
                      fingers[i % 3].sign, &at))
            landmark_set(scene, landmark, at, hand);
    }
    probe_deinit(&skin);
    return true;
}

/* -- Feet -------------------------------------------------------------------------------------- */

/* The mean of the skin's low vertices that lie within a tenth of the foot's length from its front
 * or rear end. */
static struct vec foot_end(const struct probe *skin, struct vec along, double from, double length,
                           double floor) {
    struct vec sum = {0, 0, 0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < skin->vertex_count; i++) {
        struct vec p = probe_vertex(skin, i);
        if (p.y > floor || fabs(vec_dot(p, along) - from) > 0.1 * length)
            continue;
        sum = vec_add(sum, p);
        count++;
    }
    return count > 0 ? vec_scale(sum, 1.0 / count) : (struct vec){NAN, NAN, NAN};
}

static bool put_foot(struct scene *scene, const struct scene_mesh *mesh, int side) {
    const int *node = scene->rig.joint;
    int foot = node[RIG_LEFT_FOOT + side], toes = node[RIG_LEFT_TOES + side];
    struct probe skin;
    if (foot < 0)
        return true;
    if (!probe_init(&skin, scene, mesh, foot))
        return false;
    struct vec ankle = place(scene, foot), along = {0, 0, 1};
    if (toes >= 0) {
        struct vec d = vec_sub(place(scene, toes), ankle);
        d.y = 0;
        if (vec_dot(vec_unit(d), along) > 0.5)
            along = vec_unit(d);
    }
    double low = INFINITY, high = -INFINITY;
    double floor = skin.low.y + 0.5 * fmax(0, fmin(ankle.y, skin.high.y) - skin.low.y);
    floor = fmax(floor, skin.low.y + 0.25 * (skin.high.y - skin.low.y));
    for (uint32_t i = 0; i < skin.vertex_count; i++) {
        struct vec p = probe_vertex(&skin, i);
        if (p.y > floor)
            continue;
        low = fmin(low, vec_dot(p, along));
        high = fmax(high, vec_dot(p, along));
    }
    struct vec heel = foot_end(&skin, along, low, high - low, floor);
    struct vec tip = foot_end(&skin, along, high, high - low, floor);
    probe_deinit(&skin);
    if (isfinite(heel.x) && isfinite(tip.x) && high > low) {
        landmark_set(scene, LANDMARK_HEEL + side, heel, foot);
        landmark_set(scene, LANDMARK_FOOT_INDEX + side, tip, toes >= 0 ? toes : foot);
    }
    return true;
}

/* -- Depths ------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median distance to the skin; `near` is scratch for the triangles around. */
static double depth_of(const struct probe *skin, struct vec at, double reach, struct probe *near) {
    double hits[26];
    int count = 0;
    near->mesh = skin->mesh;
    near->triangle_count = 0;
    for (uint32_t i = 0; i < skin->triangle_count; i++) {
        const float *p =
            skin->mesh->vertices[skin->mesh->indices[3 * (size_t)skin->triangles[i]]].position;
        if (fabs((double)p[0] - at.x) < reach && fabs((double)p[1] - at.y) < reach &&
            fabs((double)p[2] - at.z) < reach)
            near->triangles[near->triangle_count++] = skin->triangles[i];
    }
    for (int i = 0; i < 27; i++) {
        int x = i % 3 - 1, y = i / 3 % 3 - 1, z = i / 9 - 1;
        struct vec direction = {x, y, z};
        double way = i == 13 ? -1 : probe_ray(near, at, vec_unit(direction), false);
        if (way >= 0)
            hits[count++] = way;
    }
    if (count < 6)
        return -1;
    qsort(hits, (size_t)count, sizeof *hits, compare_doubles);
    return hits[count / 2];
}

bool landmark_depths(struct scene *scene, const struct scene_mesh *mesh, int first, int end) {
    struct probe skin, near = {0};
    double stature = scene->report.stature;
    if (!probe_init(&skin, scene, mesh, -1))
        return false;
    near.triangles = malloc((mesh->triangle_count + 1) * sizeof *near.triangles);
    for (int i = first; near.triangles != NULL && i < end; i++) {
        struct gpu_anchor *anchor = &scene->anchors[i];
        struct vec at = {(double)anchor->position[0], (double)anchor->position[1],
                         (double)anchor->position[2]};
        double depth = scene->known[i] ? depth_of(&skin, at, 0.1 * stature, &near) : -1;
        if (depth > (double)anchor->radius)
            anchor->radius = (float)fmin(depth, 0.09 * stature);
    }
    bool done = near.triangles != NULL;
    free(near.triangles);
    probe_deinit(&skin);
    return done;
}

/* -- The whole --------------------------------------------------------------------------------- */

/* Unknown ones lie where a relative does, so that nobody meets a point at the origin. */
static void lend_places(struct scene *scene) {
    static const int relatives[SCENE_LANDMARKS] = {8,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
                                                   23, 24, 11, 12, 13, 14, 15, 16, 15, 16, 15,
                                                   16, 24, 23, 23, 24, 25, 26, 27, 28, 27, 28};
    for (int i = 0; i < SCENE_LANDMARKS; i++) {
        int other = i;
        for (int step = 0; step < 8 && !scene->known[other]; step++)
            other = relatives[other];
        if (!scene->known[other])
            other = LANDMARK_SHOULDER;
        if (!scene->known[i])
            scene->anchors[i] = scene->anchors[other];
        scene->report.landmarks += scene->known[i];
    }
}

int scene_landmarks_find(struct scene_import *in) {
    struct scene *scene = in->scene;
    const struct scene_mesh *mesh = &in->mesh;
    bool done = scene_face_find(scene, mesh);
    put_joints(scene);
    done = done && raise_hips(scene, mesh);
    for (int side = 0; done && side < 2; side++) {
        done = put_end(scene, mesh, LANDMARK_WRIST + side, RIG_LEFT_HAND + side,
                       RIG_LEFT_LOWER_ARM + side) &&
               put_end(scene, mesh, LANDMARK_ANKLE + side, RIG_LEFT_FOOT + side,
                       RIG_LEFT_LOWER_LEG + side) &&
               put_hand(scene, mesh, side) && put_foot(scene, mesh, side);
    }
    done = done && landmark_depths(scene, mesh, LANDMARK_SHOULDER, LANDMARK_HEEL);
    if (done) {
        lend_places(scene);
        done = scene_joints_find(scene, mesh);
    }
    if (!done)
        return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
    if (scene->report.landmarks < SCENE_LANDMARKS)
        scene_warn(scene, "%u of the 33 landmarks were not found",
                   SCENE_LANDMARKS - scene->report.landmarks);
    return 0;
}
