/* keypoints.h - the skeletons that people train on, as choices from a body's points (scene.h).
 *
 * mediapipe_33  MediaPipe Pose's landmarks.
 * coco_17       COCO's person keypoints: all of them are landmarks.
 * body_25       OpenPose's: Neck is the middle of the shoulders, MidHip that of the hips; big and
 *               small toes by the foot's rule (scene_joint.c).
 * h36m_17       Human3.6M's in the order that lifting networks use: Hip is the middle of the hips,
 *               Spine is spine2, Thorax the middle of the shoulders, Neck/Nose the nose, Head the
 *               top of the head.
 * smpl_24       SMPL's joints: the skeleton's bones where it has them, else by rule. SMPL's own are
 *               regressed from its mesh and differ by a few centimetres.
 *
 * Static data; any thread. COCO: https://cocodataset.org/#keypoints-eval; OpenPose's output format
 * BODY_25; Ionescu et al., Human3.6M, 2014; Loper et al., SMPL, 2015. */
#ifndef STANCE_MEDIA_KEYPOINTS_H
#define STANCE_MEDIA_KEYPOINTS_H

#include <stdint.h>

enum { KEYPOINTS_MAX = 33, KEYPOINTS_FORMATS = 5 };

struct keypoints_format {
    const char *name;
    uint32_t count;
    const char *const *names; /* NULL: the points' own */
    const uint8_t *points;    /* enum scene_point of each */
};

extern const struct keypoints_format keypoints_formats[KEYPOINTS_FORMATS];

/* The name of a format's keypoint. */
const char *keypoints_name(const struct keypoints_format *format, uint32_t index);

#endif
