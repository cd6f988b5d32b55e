/* blender_views.h - the views of media/views.h as a job for Blender. Pool threads. */
#ifndef STANCE_MEDIA_BLENDER_VIEWS_H
#define STANCE_MEDIA_BLENDER_VIEWS_H

#include "media/blender.h"
#include "media/views.h"

/* The file of a body: a path, or the bytes of a GLB. */
struct blender_file {
    const char *path; /* NULL: the bytes */
    const void *bytes;
    size_t size;
};

/* As blender_new, of all views; files[i] is the one of the i-th actor. The job's bodies and batch
 * are not looked at. */
int blender_views_new(const struct views *views, const struct blender_job *job,
                      const struct blender_file *files, uint32_t file_count, struct blender **out,
                      struct err *err);

#endif
