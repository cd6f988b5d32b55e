/* check.h - the check program's parts. Each check_* runs its cases and counts them by check_that.
 */
#ifndef STANCE_GPU_CHECK_H
#define STANCE_GPU_CHECK_H

#include "body.h"
#include "net/net.h"

/* Counts a case; prints it when it failed. */
void check_that(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_skip(const char *why);

/* How often anything here has asked for memory. */
size_t check_allocations(void);

/* Pictures of one view that free themselves with pictures_free. */
struct pictures {
    uint32_t width, height;
    uint8_t *rgb;
    float *depth, *coverage, *normal, *flow;
    uint32_t *triangle;
    uint8_t *person, *part, *cover;
};

/* Draws one view of somebody alone with a backend ("cpu:avx512", ...); stops the program where that
 * fails. */
struct pictures pictures_draw(const char *backend, const struct gpu_scene *scene,
                              const struct gpu_camera *camera, const float *pose, uint32_t samples);
/* The same of any frame. */
struct pictures pictures_draw_frame(const char *backend, const struct gpu_frame *frame,
                                    const struct gpu_camera *camera, uint32_t samples);

/* The same of any view; shutter: of the batch. */
struct pictures pictures_draw_view(const char *backend, const struct gpu_frame *frame,
                                   const struct gpu_view *view, uint32_t samples, float shutter);

/* Whether all of two pictures is the same, byte for byte; else *what is not. */
bool pictures_same(const struct pictures *a, const struct pictures *b, const char **what);
void pictures_free(struct pictures *pictures);

/* The widths that this processor runs, as backends; NULL at the end. */
const char *const *check_backends(void);

void check_widths(void);    /* every width writes the same bytes */
void check_reference(void); /* pictures against rays in double precision */
void check_skinning(void);
void check_cameras(void);
void check_labels(void);
void check_people(void); /* labels of several */
void check_input(void);  /* what is refused, and what must be survived */
void check_light(void);
void check_crowds(void);    /* normals, flow, people in each other's way */
void check_lenses(void);    /* distortion, depth of field, motion blur */
void check_shading(void);   /* energy, light from all around, tone, noise */
void check_looks(void);     /* maps, lamps, backgrounds, as they are drawn */
void check_files(void);     /* TFLite files that come back, the real ones */
void check_odd_files(void); /* ... that are refused, or survived */
void check_nets(void);
void check_crops(void);
void check_pose_formulas(void);
void check_pose_filters(void);
void check_pose_tracking(void);
void check_pose_memory(void);

/* Runs a net and the reference on poisoned outputs; the greatest difference of a number, in units
 * of its output's usual size plus one. */
double check_net(struct net *net, const struct net_graph *graph, const float *input, char *why);

/* Timings by stage to a JSON file. */
int bench_run(const char *path);
int bench_pose(const char *path);

#endif
