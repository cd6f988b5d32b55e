/* scene_fit.c - turns, scales and places a body: metres, y up, facing +z, feet on the ground.
 *
 * Two spaces are fitted, each by what the skeleton looks like in it: bind space, where the mesh is
 * stored and landmarks are searched, and the file's world, where clips play. They need not agree:
 * many files are skinned in centimetres with z up under a node that scales and turns. Turns are
 * whole quarter turns where the body stands within 30 degrees of one. */
#include <stdlib.h>

#include "media/scene_parts.h"

static const double min_kept = 0.3, max_kept = 2.4, min_likely = 1.3, max_likely = 2.2, usual = 1.7;

/* -- Turning ----------------------------------------------------------------------------------- */

/* The nearest of the 24 turns by quarter, or the turn itself when none is near. */
static struct mat snap(struct mat turn) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct mat best = turn;
    double most = 1 + 2 * cos(30 * 3.14159265358979 / 180); /* the trace of a turn by 30 degrees */
    for (int order = 0; order < 6; order++) {
        for (int signs = 0; signs < 8; signs++) {
            struct mat try = {{0}};
            double trace = 0;
            for (int r = 0; r < 3; r++)
                try.m[4 * r + orders[order][r]] = signs >> r & 1 ? -1 : 1;
            if (mat_determinant(&try) < 0)
                continue;
            for (int i = 0; i < 12; i++)
                trace += i % 4 == 3 ? 0 : try.m[i] * turn.m[i];
            if (trace > most) {
                most = trace;
                best = try;
            }
        }
    }
    return best;
}

/* The turn that brings a body of these places upright and to face +z. */
static bool upright(const struct rig_map *rig, const struct vec *places, struct mat *out) {
    struct vec up, left;
    if (!scene_body_axes(rig, places, &up, &left))
        return false;
    struct vec front = vec_cross(left, up);
    *out = snap((struct mat){
        {left.x, left.y, left.z, 0, up.x, up.y, up.z, 0, front.x, front.y, front.z, 0}});
    return true;
}

static bool is_identity(const struct mat *turn) {
    return turn->m[0] > 0.999 && turn->m[5] > 0.999 && turn->m[10] > 0.999;
}

/* -- Measuring --------------------------------------------------------------------------------- */

/* The length of thighs and upper arms, which no pose changes: compares spaces that hold the same
 * body. */
static double bone_length(const struct rig_map *rig, const struct vec *places) {
    const int *node = rig->joint;
    double sum = 0;
    for (int side = 0; side < 2; side++) {
        sum += vec_distance(places[node[RIG_LEFT_UPPER_LEG + side]],
                            places[node[RIG_LEFT_LOWER_LEG + side]]);
        sum += vec_distance(places[node[RIG_LEFT_UPPER_ARM + side]],
                            places[node[RIG_LEFT_LOWER_ARM + side]]);
    }
    return sum;
}

/* Whether a vertex counts for stature: not what hands hold. */
static void mark_body(const struct scene *scene, bool *body) {
    for (uint32_t i = 0; i < scene->node_count; i++) {
        int parent = scene->joints[i].parent;
        body[i] = parent < 0 || body[parent];
        for (int side = 0; side < 2; side++)
            if (parent >= 0 && parent == scene->rig.joint[RIG_LEFT_HAND + side])
                body[i] = false;
    }
}

/* Lowest and highest y of the body's skin in a space where `up` is the turn's second row. */
static void height_range(const struct scene *scene, const struct scene_mesh *mesh, const bool *body,
                         const float *palette, double range[2]) {
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const struct scene_vertex *vertex = &mesh->vertices[v];
        if (!body[scene->joints[vertex->joints[0]].node])
            continue;
        double y = 0;
        for (int i = 0; i < SCENE_INFLUENCES && vertex->weights[i] > 0; i++) {
            const float *row = palette + 12 * (size_t)vertex->joints[i] + 4;
            y += (double)(vertex->weights[i] *
                          (row[0] * vertex->position[0] + row[1] * vertex->position[1] +
                           row[2] * vertex->position[2] + row[3]));
        }
        range[0] = fmin(range[0], y);
        range[1] = fmax(range[1], y);
    }
}

/* By how much to scale so that a body of `stature` metres by its file gets a likely size. */
static double choose_scale(double stature, const struct scene_options *options) {
    static const double mistakes[] = {0.01, 100, 0.0254, 0.1};
    if (options != NULL && options->stature > 0)
        return options->stature / stature;
    if (stature >= min_kept && stature <= max_kept)
        return 1;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        if (stature * mistakes[i] >= min_likely && stature * mistakes[i] <= max_likely)
            return mistakes[i];
    return usual / stature;
}

/* -- Moving the bind space --------------------------------------------------------------------- */

static void move_bind(struct scene *scene, struct scene_mesh *mesh, const struct mat *move) {
    double c[9];
    mat_cofactors(move, c);
    for (uint32_t j = 0; j < scene->joint_count; j++) {
        struct mat back;
        scene->joints[j].bind = mat_multiply(move, &scene->joints[j].bind);
        mat_invert(&scene->joints[j].bind, &back);
        mat_to_float(&back, scene->joints[j].from_bind);
    }
    scene_morphs_move(mesh, move);
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        float *p = mesh->vertices[v].position, *n = mesh->vertices[v].normal;
        struct vec at = mat_point(move, (struct vec){(double)p[0], (double)p[1], (double)p[2]});
        struct vec normal = {(double)n[0], (double)n[1], (double)n[2]};
        normal = vec_unit((struct vec){c[0] * normal.x + c[1] * normal.y + c[2] * normal.z,
                                       c[3] * normal.x + c[4] * normal.y + c[5] * normal.z,
                                       c[6] * normal.x + c[7] * normal.y + c[8] * normal.z});
        p[0] = (float)at.x, p[1] = (float)at.y, p[2] = (float)at.z;
        n[0] = (float)normal.x, n[1] = (float)normal.y, n[2] = (float)normal.z;
    }
}

static struct mat scaled(const struct mat *turn, double scale, struct vec move) {
    struct mat out = *turn;
    for (int i = 0; i < 12; i++)
        out.m[i] = i % 4 == 3 ? 0 : turn->m[i] * scale;
    out.m[3] = move.x;
    out.m[7] = move.y;
    out.m[11] = move.z;
    return out;
}

/* -- The ground -------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The middle one of the clips' lowest points: some clips lie, fly or fall. A few clips, a few times
 * each, will do. */
static double clips_ground(const struct scene_import *in, const bool *body, float *palette) {
    enum { CLIPS = 9, TIMES = 6 };
    const struct scene *scene = in->scene;
    uint32_t count = scene->clip_count < CLIPS ? scene->clip_count : CLIPS;
    double lows[CLIPS], range[2];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t clip = (uint32_t)((uint64_t)i * scene->clip_count / count);
        lows[i] = INFINITY;
        for (int k = 0; k < TIMES; k++) {
            scene_pose(scene, (int)clip, scene->clips[clip].seconds * k / TIMES, palette);
            height_range(scene, &in->mesh, body, palette, range);
            lows[i] = fmin(lows[i], range[0]);
        }
    }
    qsort(lows, count, sizeof *lows, compare_doubles);
    return lows[count / 2];
}

/* Lifts rest pose and clips to the ground; what is within a fiftieth of the stature is left alone.
 */
static void place_on_ground(struct scene_import *in, const bool *body, float *palette, double low) {
    struct scene *scene = in->scene;
    double slack = 0.02 * scene->report.stature;
    double ground = scene->clip_count > 0 ? clips_ground(in, body, palette) : low;
    if (fabs(low) > slack)
        scene->rest_from_file.m[7] -= low;
    if (fabs(ground) > slack) {
        scene->world_from_file.m[7] -= ground;
        scene->report.lifted = -ground;
    }
}

/* -- The whole --------------------------------------------------------------------------------- */

struct fitting {
    struct scene_import *in;
    struct vec *bind,
        *world;     /* [node] places in both spaces, bind space put straight; world: at rest */
    bool *body;     /* [node] */
    float *palette; /* [joint][12] */
    struct mat bind_turn;
};

static int fitting_init(struct fitting *f, struct scene_import *in) {
    const struct scene *scene = in->scene;
    size_t n = scene->node_count;
    struct mat *rest = malloc(n * sizeof *rest);
    f->in = in;
    f->bind = malloc(n * sizeof *f->bind);
    f->world = malloc(n * sizeof *f->world);
    f->body = malloc(n * sizeof *f->body);
    f->palette = malloc(12 * sizeof *f->palette * scene->joint_count);
    bool ready = rest != NULL && f->bind != NULL && f->world != NULL && f->body != NULL &&
                 f->palette != NULL;
    if (ready) {
        scene_rest_world(scene, rest);
        mark_body(scene, f->body);
        for (size_t i = 0; i < n; i++) {
            f->bind[i] = mat_point(&in->straight, mat_origin(&scene->joints[i].bind));
            f->world[i] = mat_origin(&rest[i]);
        }
    }
    free(rest);
    return ready ? 0 : err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
}

static void fitting_deinit(struct fitting *f) {
    free(f->bind);
    free(f->world);
    free(f->body);
    free(f->palette);
}

/* Lowest and highest point of the body's skin, as it is stored, once turned. */
static void bind_range(const struct fitting *f, double range[2]) {
    const struct scene_mesh *mesh = &f->in->mesh;
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->vertices[v].position;
        if (!f->body[f->in->scene->joints[mesh->vertices[v].joints[0]].node])
            continue;
        double y =
            mat_point(&f->bind_turn, (struct vec){(double)p[0], (double)p[1], (double)p[2]}).y;
        range[0] = fmin(range[0], y);
        range[1] = fmax(range[1], y);
    }
}

static int no_size(const struct fitting *f) {
    return err_set(f->in->err, ERR_INVALID, "%s: the body has no height", f->in->file);
}

int scene_fit(struct scene_import *in, const struct scene_options *options,
              double metres_per_unit) {
    struct scene *scene = in->scene;
    struct scene_report *report = &scene->report;
    const int *node = scene->rig.joint;
    struct fitting f = {0};
    struct mat turn, move = mat_identity();
    double range[2];
    int rc = fitting_init(&f, in);
    if (rc != 0)
        goto end;
    double bind_length = bone_length(&scene->rig, f.bind),
           world_length = bone_length(&scene->rig, f.world);
    if (!upright(&scene->rig, f.bind, &f.bind_turn) || !upright(&scene->rig, f.world, &turn) ||
        !(bind_length > 0)) {
        rc = no_size(&f);
        goto end;
    }
    struct mat bind_upright = f.bind_turn;
    f.bind_turn = mat_multiply(&f.bind_turn, &in->straight);
    bind_range(&f, range);
    double growth = world_length / bind_length, height = (range[1] - range[0]) * growth;
    if (!(height > 0) || !isfinite(height)) {
        rc = no_size(&f);
        goto end;
    }
    report->turned = !is_identity(&turn);
    report->file_stature = height * metres_per_unit;
    report->scale = choose_scale(report->file_stature, options);
    report->stature = report->file_stature * report->scale;
    double scale = metres_per_unit * report->scale;

    struct vec hips =
        vec_mix(f.bind[node[RIG_LEFT_UPPER_LEG]], f.bind[node[RIG_LEFT_UPPER_LEG + 1]], 0.5);
    hips = mat_point(&bind_upright, hips);
    struct vec shift = vec_scale((struct vec){-hips.x, -range[0], -hips.z}, scale * growth);
    move = scaled(&f.bind_turn, scale * growth, shift);
    move_bind(scene, &in->mesh, &move);

    /* A body that stands far from the origin is fetched. */
    hips = vec_mix(f.world[node[RIG_LEFT_UPPER_LEG]], f.world[node[RIG_LEFT_UPPER_LEG + 1]], 0.5);
    hips = vec_scale(mat_point(&turn, hips), scale);
    shift = (struct vec){-hips.x, 0, -hips.z};
    if (vec_length(shift) < 0.25 * report->stature)
        shift = (struct vec){0, 0, 0};
    scene->rest_from_file = scene->world_from_file = scaled(&turn, scale, shift);
    scene_pose(scene, SCENE_REST, 0, f.palette);
    height_range(scene, &in->mesh, f.body, f.palette, range);
    place_on_ground(in, f.body, f.palette, range[0]);
end:
    fitting_deinit(&f);
    return rc;
}
