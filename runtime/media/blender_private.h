/* blender_private.h - what the files of blender.h share. Not for others. */
#ifndef STANCE_MEDIA_BLENDER_PRIVATE_H
#define STANCE_MEDIA_BLENDER_PRIVATE_H

#include "media/blender.h"

/* Writes job.json, poses.f32, blender.py and the bodies that are bytes into `folder`. */
int blender_job_write(const struct blender_job *job, const char *folder, struct err *err);

#endif
