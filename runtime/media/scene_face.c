/* scene_face.c - the eleven landmarks of the face, on the skin of the head in bind space, where it
 * faces +z.
 *
 * The head's skin gives chin, crown and width; the classical proportions of a face give where on it
 * to look, and a ray from the front where the skin is: eyes just below half way from chin to crown,
 * as hair is on it, the corners of the mouth at a fifth, the tip of the nose where the profile
 * stands out most between a quarter and a half, the ears where the head is widest beside. Eye
 * bones, where there are any, say better where the eyes are, and the rest follows them. (Farkas,
 * "Anthropometry of the Head and Face", 1994, has the distances: between the inner corners of the
 * eyes 32 mm, the outer 90, of the mouth 50, width of the head 150.) */
#include "media/scene_landmark.h"

struct face {
    struct scene *scene;
    struct probe skin;
    double chin, crown, middle; /* y, y, x */
    double half;                /* half the width at the eyes */
    double eyes, offset;        /* y of the eyes, and how far they are from the middle */
};

/* The skin at (x, y) seen from the front; false when there is none. */
static bool front(const struct face *face, double x, double y, struct vec *out) {
    double start = face->skin.high.z + 1;
    double way = probe_ray(&face->skin, (struct vec){x, y, start}, (struct vec){0, 0, -1}, false);
    *out = (struct vec){x, y, start - way};
    return way >= 0;
}

/* The chin is the lowest of the front's middle; below the jaw long hair and neck do not count. */
static void measure(struct face *face) {
    const struct probe *skin = &face->skin;
    double depth = skin->high.z - skin->low.z, width = skin->high.x - skin->low.x;
    face->crown = skin->high.y;
    face->chin = face->crown;
    for (uint32_t i = 0; i < skin->vertex_count; i++) {
        struct vec p = probe_vertex(skin, i);
        if (p.z > skin->low.z + 0.68 * depth && fabs(p.x - face->middle) < 0.3 * width)
            face->chin = fmin(face->chin, p.y);
    }
}

/* Half the distance between the skin's sides at a height, near the depth of the head's middle. */
static double half_width(const struct face *face, double y) {
    const struct probe *skin = &face->skin;
    struct vec from = {face->middle, y, 0.5 * (skin->low.z + skin->high.z)};
    double left = probe_ray(skin, from, (struct vec){1, 0, 0}, true);
    double right = probe_ray(skin, from, (struct vec){-1, 0, 0}, true);
    double widest = fmax(skin->high.x - face->middle, face->middle - skin->low.x);
    if (left > 0 && right > 0)
        return fmin(left, right);
    return left > 0 ? left : right > 0 ? right : widest;
}

/* The middles of the two eyes by bones, or by meshes that are called so; false when there are none
 * that make sense. */
static bool told_eyes(const struct face *face, struct vec eyes[2]) {
    const int *node = face->scene->rig.joint;
    const struct scene_mesh *mesh = face->skin.mesh;
    uint32_t count[2] = {0, 0};
    eyes[0] = eyes[1] = (struct vec){0, 0, 0};
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->vertices[v].position;
        int side = (double)p[0] > face->middle ? 0 : 1;
        if (!mesh->vertices[v].eye)
            continue;
        eyes[side] = vec_add(eyes[side], (struct vec){(double)p[0], (double)p[1], (double)p[2]});
        count[side]++;
    }
    for (int side = 0; side < 2; side++)
        eyes[side] = vec_scale(eyes[side], count[side] > 0 ? 1.0 / count[side] : 0);
    if (node[RIG_LEFT_EYE] >= 0 && node[RIG_LEFT_EYE + 1] >= 0)
        for (int side = 0; side < 2; side++)
            eyes[side] = mat_origin(&face->scene->joints[node[RIG_LEFT_EYE + side]].bind);
    else if (count[0] == 0 || count[1] == 0)
        return false;
    double apart = eyes[0].x - eyes[1].x, height = face->crown - face->chin,
           y = 0.5 * (eyes[0].y + eyes[1].y);
    return apart > 0.1 * height && apart < 0.9 * height &&
           fabs(eyes[0].y - eyes[1].y) < 0.15 * height && y > face->chin + 0.2 * height &&
           y < face->crown;
}

static void find_eyes(struct face *face) {
    struct vec eyes[2];
    bool told = told_eyes(face, eyes);
    face->eyes =
        told ? 0.5 * (eyes[0].y + eyes[1].y) : face->chin + 0.47 * (face->crown - face->chin);
    face->half = half_width(face, face->eyes);
    face->offset = told ? 0.5 * (eyes[0].x - eyes[1].x) : 0.42 * face->half;
    if (told)
        face->middle = 0.5 * (eyes[0].x + eyes[1].x);
}

static void put(struct face *face, int landmark, double x, double y) {
    struct vec at;
    double step = 0.04 * (face->crown - face->chin);
    bool found = front(face, x, y, &at);
    /* Beside the face of a narrow head: come nearer to the middle. */
    for (int i = 0; !found && i < 6; i++) {
        x += x > face->middle ? -step : step;
        found = front(face, x, y, &at);
    }
    if (found)
        landmark_set(face->scene, landmark, at, face->scene->rig.joint[RIG_HEAD]);
}

static void put_nose(struct face *face) {
    struct vec best = {0, 0, -INFINITY}, at;
    double height = face->eyes - face->chin;
    for (int i = 0; i <= 24; i++) {
        double y = face->chin + height * (0.45 + 0.3 * i / 24);
        if (front(face, face->middle, y, &at) && at.z > best.z)
            best = at;
    }
    if (isfinite(best.z))
        landmark_set(face->scene, LANDMARK_NOSE, best, face->scene->rig.joint[RIG_HEAD]);
}

/* The widest of the skin between nose and brow, not in the face's front or the back of the head. */
static void put_ears(struct face *face) {
    const struct probe *skin = &face->skin;
    double height = face->crown - face->chin, depth = skin->high.z - skin->low.z;
    for (int side = 0; side < 2; side++) {
        double sign = side == 0 ? 1 : -1, widest = -INFINITY;
        struct vec ear = {0, 0, 0};
        for (uint32_t i = 0; i < skin->vertex_count; i++) {
            struct vec p = probe_vertex(skin, i);
            double z = (p.z - skin->low.z) / depth;
            if (p.y < face->eyes - 0.22 * height || p.y > face->eyes + 0.06 * height || z < 0.25 ||
                z > 0.75)
                continue;
            if (sign * (p.x - face->middle) > widest) {
                widest = sign * (p.x - face->middle);
                ear = p;
            }
        }
        if (!isfinite(widest)) {
            double y = face->eyes - 0.08 * height;
            ear = (struct vec){face->middle + sign * half_width(face, y), y,
                               0.5 * (skin->low.z + skin->high.z)};
        }
        landmark_set(face->scene, LANDMARK_LEFT_EAR + side, ear, face->scene->rig.joint[RIG_HEAD]);
    }
}

static void put_eyes_and_mouth(struct face *face) {
    double offset = face->offset;
    for (int side = 0; side < 2; side++) {
        double sign = side == 0 ? 1 : -1;
        int inner = side == 0 ? LANDMARK_LEFT_EYE_INNER : LANDMARK_RIGHT_EYE_INNER;
        put(face, inner, face->middle + sign * 0.52 * offset, face->eyes);
        put(face, inner + 1, face->middle + sign * offset, face->eyes);
        put(face, inner + 2, face->middle + sign * 1.45 * offset, face->eyes);
        put(face, LANDMARK_MOUTH_LEFT + side, face->middle + sign * 0.8 * offset,
            face->chin + 0.42 * (face->eyes - face->chin));
    }
}

bool scene_face_find(struct scene *scene, const struct scene_mesh *mesh) {
    const struct rig_map *rig = &scene->rig;
    struct face face = {.scene = scene};
    int head = rig->joint[RIG_HEAD];
    if (head < 0)
        return true;
    if (!probe_init(&face.skin, scene, mesh, head))
        return false;
    if (face.skin.vertex_count == 0) {
        scene_warn(scene, "no skin follows the head, so the face has no landmarks");
        probe_deinit(&face.skin);
        return true;
    }
    face.middle = mat_origin(&scene->joints[head].bind).x;
    if (face.middle < face.skin.low.x || face.middle > face.skin.high.x)
        face.middle = 0.5 * (face.skin.low.x + face.skin.high.x);
    measure(&face);
    find_eyes(&face);
    put_nose(&face);
    put_eyes_and_mouth(&face);
    put_ears(&face);
    probe_deinit(&face.skin);
    return true;
}
