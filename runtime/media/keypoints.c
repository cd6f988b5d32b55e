#include "media/keypoints.h"

#include <stddef.h>

#include "media/scene.h"

/* Short names, so that a skeleton's points fit a few lines. */
enum {
    MID_HIP = SCENE_MID_HIP,
    PELVIS = SCENE_PELVIS,
    SPINE1 = SCENE_SPINE1,
    SPINE2 = SCENE_SPINE2,
    SPINE3 = SCENE_SPINE3,
    THORAX = SCENE_THORAX,
    NECK = SCENE_NECK,
    HEAD = SCENE_HEAD,
    COLLAR = SCENE_LEFT_COLLAR, /* of pairs the left one */
    HAND = SCENE_LEFT_KNUCKLES,
    BALL = SCENE_LEFT_BALL,
    TOP = SCENE_HEAD_TOP,
    BIG_TOE = SCENE_LEFT_BIG_TOE,
    SMALL_TOE = SCENE_LEFT_SMALL_TOE,
};

static const uint8_t mediapipe_33[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                       11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                       22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};

static const uint8_t coco_17[] = {0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28};

static const char *const coco_names[] = {
    "nose",           "left_eye",   "right_eye",   "left_ear",   "right_ear",   "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip",      "left_knee",  "right_knee",  "left_ankle", "right_ankle"};

static const uint8_t body_25[] = {
    0, THORAX, 12, 14, 16,      11,        13, 15,          MID_HIP,       24, 26, 28, 23, 25, 27,
    5, 2,      8,  7,  BIG_TOE, SMALL_TOE, 29, BIG_TOE + 1, SMALL_TOE + 1, 30};

static const char *const body_names[] = {
    "Nose", "Neck",    "RShoulder", "RElbow", "RWrist",  "LShoulder", "LElbow", "LWrist", "MidHip",
    "RHip", "RKnee",   "RAnkle",    "LHip",   "LKnee",   "LAnkle",    "REye",   "LEye",   "REar",
    "LEar", "LBigToe", "LSmallToe", "LHeel",  "RBigToe", "RSmallToe", "RHeel"};

static const uint8_t h36m_17[] = {MID_HIP, 24,  26, 28, 23, 25, 27, SPINE2, THORAX,
                                  0,       TOP, 11, 13, 15, 12, 14, 16};

static const char *const h36m_names[] = {
    "Hip",       "RHip", "RKnee",     "RFoot",  "LHip",   "LKnee",     "LFoot",  "Spine", "Thorax",
    "Neck/Nose", "Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"};

static const uint8_t smpl_24[] = {
    PELVIS, 23,     24,         SPINE1, 25, 26, SPINE2, 27, 28, SPINE3, BALL, BALL + 1,
    NECK,   COLLAR, COLLAR + 1, HEAD,   11, 12, 13,     14, 15, 16,     HAND, HAND + 1};

static const char *const smpl_names[] = {
    "pelvis",     "left_hip",    "right_hip",    "spine1",      "left_knee",     "right_knee",
    "spine2",     "left_ankle",  "right_ankle",  "spine3",      "left_foot",     "right_foot",
    "neck",       "left_collar", "right_collar", "head",        "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist",   "right_wrist", "left_hand",     "right_hand"};

const struct keypoints_format keypoints_formats[KEYPOINTS_FORMATS] = {
    {"mediapipe_33", 33, NULL, mediapipe_33}, {"coco_17", 17, coco_names, coco_17},
    {"body_25", 25, body_names, body_25},     {"h36m_17", 17, h36m_names, h36m_17},
    {"smpl_24", 24, smpl_names, smpl_24},
};

const char *keypoints_name(const struct keypoints_format *format, uint32_t index) {
    return format->names != NULL ? format->names[index]
                                 : scene_landmark_name(format->points[index]);
}
