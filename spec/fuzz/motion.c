/* Motions in text: any bytes are clips that can be sampled, or an error that names the file. The
 * first byte says whether they are a BVH or AMC file for a sound skeleton, or the skeleton (ASF) of
 * a sound AMC file. */
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "fuzz.h"
#include "media/motion_parts.h"
#include "rigs.h"

enum { FILE_MAX = 1 << 18 };

static const char skeleton[] =
    ":version 1.10\n:units\n angle deg\n:root\n order TX TY TZ RX RY RZ\n axis XYZ\n position 0 0 "
    "0\n"
    " orientation 0 0 0\n:bonedata\nbegin\n name head\n direction 0 1 0\n length 2\n axis 0 0 0 "
    "XYZ\n"
    " dof rx ry rz\nend\nbegin\n name lhumerus\n direction 1 0 0\n length 2\n axis 0 0 90 XYZ\n "
    "dof rx\n"
    "end\nbegin\n name rhumerus\n direction -1 0 0\n length 2\n axis 0 0 0 XYZ\nend\nbegin\n name "
    "lradius\n"
    " direction 1 0 0\n length 2\n axis 0 0 0 XYZ\nend\nbegin\n name rradius\n direction -1 0 0\n "
    "length 2\n"
    " axis 0 0 0 XYZ\nend\nbegin\n name lfemur\n direction .2 -1 0\n length 3\n axis 0 0 0 "
    "XYZ\nend\nbegin\n"
    " name rfemur\n direction -.2 -1 0\n length 3\n axis 0 0 0 XYZ\nend\nbegin\n name ltibia\n"
    " direction 0 -1 0\n length 3\n axis 0 0 0 XYZ\n dof rx\nend\nbegin\n name rtibia\n direction "
    "0 -1 0\n"
    " length 3\n axis 0 0 0 XYZ\nend\nbegin\n name lfoot\n direction 0 0 1\n length 1\n axis 0 0 0 "
    "XYZ\n"
    "end\nbegin\n name rfoot\n direction 0 0 1\n length 1\n axis 0 0 0 "
    "XYZ\nend\n:hierarchy\nbegin\n"
    "root head lfemur rfemur\nhead lhumerus rhumerus\nlhumerus lradius\nrhumerus rradius\n"
    "lfemur ltibia\nrfemur rtibia\nltibia lfoot\nrtibia rfoot\nend\n";
static const char frames[] = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 6 0 0 0 0\nltibia 10\n2\n"
                             "root 0 6 1e2 0 -9.5e1 0\nlhumerus 30\nhead 1 2 3\n";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct motion *motion = NULL;
    struct err err = {0};
    if (size == 0 || size > FILE_MAX)
        return 0;
    bool is_skeleton = (bytes[0] & 1) != 0;
    struct motion_source source = {
        .rigs = rigs(), .bones = skeleton, .bones_size = sizeof skeleton - 1};
    const void *file = bytes + 1;
    size_t length = size - 1;
    if (is_skeleton) {
        source.bones = file;
        source.bones_size = length;
        file = frames;
        length = sizeof frames - 1;
    } else if (length < 1 || bytes[1] == 0 || strchr("H:#1 \t\r\n", bytes[1]) == NULL) {
        return 0; /* that goes to the scene importer, which has a target of its own */
    }
    int code = motion_open_bytes(file, length, "a.amc", &source, &motion, &err);
    FUZZ_CHECK(code == 0 || (err.message[0] != 0 && motion == NULL));
    if (code != 0)
        return 0;
    uint32_t joints = motion->figure.count;
    if (motion->scene == NULL) {
        struct quat *turns = malloc(joints * sizeof *turns);
        struct vec *places = malloc(joints * sizeof *places);
        uint32_t last = motion->tracks[0].frames - 1;
        motion_sample(motion, 0, last, turns, places, NULL);
        for (uint32_t i = 0; i < joints; i++)
            FUZZ_CHECK(isfinite(places[i].x + places[i].y + places[i].z) &&
                       fabs(quat_dot(turns[i], turns[i]) - 1) < 1e-3);
        free(turns);
        free(places);
    }
    motion_release(motion);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static const char bvh[] =
        "\2HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition "
        "Zrotation "
        "Xrotation Yrotation\nJOINT Head\n{\nOFFSET 0 5 0\nCHANNELS 0\nEnd Site\n{\nOFFSET 0 1 "
        "0\n}\n}\n"
        "JOINT LeftArm\n{\nOFFSET 1 4 0\nCHANNELS 1 Zrotation\nJOINT LeftForeArm\n{\nOFFSET 2 0 0\n"
        "CHANNELS 0\nEnd Site\n{\nOFFSET 2 0 0\n}\n}\n}\nJOINT RightArm\n{\nOFFSET -1 4 "
        "0\nCHANNELS 0\n"
        "JOINT RightForeArm\n{\nOFFSET -2 0 0\nCHANNELS 0\nEnd Site\n{\nOFFSET -2 0 0\n}\n}\n}\n"
        "JOINT LeftUpLeg\n{\nOFFSET 1 0 0\nCHANNELS 0\nJOINT LeftLeg\n{\nOFFSET 0 -3 0\nCHANNELS 1 "
        "Xrotation\nJOINT LeftFoot\n{\nOFFSET 0 -3 0\nCHANNELS 0\n}\n}\n}\nJOINT "
        "RightUpLeg\n{\nOFFSET -1 "
        "0 0\nCHANNELS 0\nJOINT RightLeg\n{\nOFFSET 0 -3 0\nCHANNELS 0\nJOINT RightFoot\n{\nOFFSET "
        "0 -3 "
        "0\nCHANNELS 0\n}\n}\n}\n}\nMOTION\nFrames: 2\nFrame Time: .0333\n0 6 0 0 0 0 10 20\n"
        "1 6 0 90 1e-2 0 -10 .5\n";
    char amc[sizeof frames + 1] = "\2", asf[sizeof skeleton + 1] = "\1";
    strcat(amc, frames);
    strcat(asf, skeleton);
    add(bvh, sizeof bvh - 1);
    add(amc, strlen(amc));
    add(asf, strlen(asf));
    add("\2HIERARCHY\nROOT a {", 19);
}
