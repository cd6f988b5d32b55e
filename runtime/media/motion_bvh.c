/* motion_bvh.c - Biovision's BVH: a tree of joints with offsets and channels, then a line of
 * numbers a frame.
 *
 * Read as it is found: words in any case, tabs, blanks at line ends, frame times like ".0333",
 * channels in any order, position channels on any joint (they take the offset's place), frames that
 * run over several lines. A channel order is a product: the first channel turns last. End sites
 * become joints called after their parent. */
#include <stdio.h>
#include <stdlib.h>

#include "media/motion_parts.h"

enum { MAX_DEPTH = 128, MAX_CHANNELS = 6 };

struct bvh {
    struct motion *motion;
    struct motion_text *text;
    uint8_t (
        *channels)[MAX_CHANNELS]; /* [joint] 0 to 2: position x to z, 3 to 5: turn about x to z */
    uint8_t *channel_count;       /* [joint] */
    uint32_t channel_sum;
};

/* -- The tree ---------------------------------------------------------------------------------- */

static int no_memory(const struct bvh *bvh) {
    return err_set(bvh->text->err, ERR_NO_MEMORY, "%s: no memory to read it", bvh->text->name);
}

static int add_joint(struct bvh *bvh, struct motion_word name, int parent) {
    struct motion *motion = bvh->motion;
    if (motion->joint_count == MOTION_MAX_JOINTS)
        return err_set(bvh->text->err, ERR_TOO_LARGE, "%s:%u: more than %d joints", bvh->text->name,
                       bvh->text->line, MOTION_MAX_JOINTS);
    return motion_joint_add(motion, name.at, name.length, parent) != NULL ? 0 : no_memory(bvh);
}

static int read_offset(struct bvh *bvh, struct vec *out) {
    int rc = motion_text_expect(bvh->text, "OFFSET");
    double *numbers[] = {&out->x, &out->y, &out->z};
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = motion_text_number(bvh->text, false, numbers[i]);
    return rc;
}

static int read_channels(struct bvh *bvh, uint32_t joint) {
    static const char *const names[] = {"Xposition", "Yposition", "Zposition",
                                        "Xrotation", "Yrotation", "Zrotation"};
    double count;
    unsigned seen = 0;
    int rc = motion_text_number(bvh->text, false, &count);
    if (rc != 0)
        return rc;
    if (!(count >= 0 && count <= MAX_CHANNELS) || count != floor(count))
        return motion_text_fail(bvh->text, "a joint has 0 to %d channels, not %g", MAX_CHANNELS,
                                count);
    for (int i = 0; i < (int)count; i++) {
        struct motion_word word = motion_text_word(bvh->text, false);
        uint8_t which = 0;
        while (which < 6 && !motion_word_is(word, names[which]))
            which++;
        if (which == 6)
            return motion_text_fail(bvh->text, "no channel is called \"%.*s\"",
                                    (int)(word.length < 40 ? word.length : 40), word.at);
        if (seen >> which & 1)
            return motion_text_fail(bvh->text, "the channel %s stands there twice", names[which]);
        seen |= 1u << which;
        bvh->channels[joint][i] = which;
    }
    bvh->channel_count[joint] = (uint8_t)count;
    bvh->channel_sum += (uint32_t)count;
    if ((seen & 7) != 0)
        bvh->motion->joints[joint].moving = (int)bvh->motion->moving_count++;
    return 0;
}

static int read_end(struct bvh *bvh, uint32_t parent) {
    char name[80];
    const char *above = bvh->motion->joints[parent].name;
    int rc = motion_text_expect(bvh->text, "Site");
    snprintf(name, sizeof name, "%.60s_End", above);
    if (rc == 0)
        rc = add_joint(bvh, (struct motion_word){name, strlen(name)}, (int)parent);
    if (rc == 0)
        rc = motion_text_expect(bvh->text, "{");
    if (rc == 0)
        rc = read_offset(bvh, &bvh->motion->joints[bvh->motion->joint_count - 1].offset);
    return rc != 0 ? rc : motion_text_expect(bvh->text, "}");
}

/* From the name of a joint to its closing brace. */
static int read_joint(struct bvh *bvh, int parent, int depth) {
    struct motion_text *text = bvh->text;
    struct motion_word name = motion_text_rest(text);
    if (name.length > 0 && name.at[name.length - 1] == '{') { /* the brace on the name's line */
        name.length--;
        text->at = name.at + name.length;
        while (name.length > 0 &&
               (name.at[name.length - 1] == ' ' || name.at[name.length - 1] == '\t'))
            name.length--;
    }
    if (name.length == 0)
        return motion_text_fail(text, "the joint has no name");
    if (depth > MAX_DEPTH)
        return motion_text_fail(text, "joints are nested deeper than %d", MAX_DEPTH);
    uint32_t self = bvh->motion->joint_count;
    int rc = add_joint(bvh, name, parent);
    if (rc == 0)
        rc = motion_text_expect(text, "{");
    if (rc == 0)
        rc = read_offset(bvh, &bvh->motion->joints[self].offset);
    while (rc == 0) {
        struct motion_word word = motion_text_word(text, false);
        if (motion_word_is(word, "}"))
            return 0;
        if (motion_word_is(word, "JOINT"))
            rc = read_joint(bvh, (int)self, depth + 1);
        else if (motion_word_is(word, "End"))
            rc = read_end(bvh, self);
        else if (motion_word_is(word, "CHANNELS") && bvh->channel_count[self] == 0)
            rc = read_channels(bvh, self);
        else
            rc = word.length == 0
                     ? motion_text_fail(text, "the file ends inside the joint %s",
                                        bvh->motion->joints[self].name)
                     : motion_text_fail(text,
                                        "CHANNELS, JOINT, End Site or } was expected, not \"%.*s\"",
                                        (int)(word.length < 40 ? word.length : 40), word.at);
    }
    return rc;
}

/* -- The frames -------------------------------------------------------------------------------- */

static int read_frame(struct bvh *bvh, const struct motion_track *track, uint32_t frame) {
    static const struct vec axes[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    const struct motion *motion = bvh->motion;
    float *turns = track->turns + 4 * (size_t)motion->joint_count * frame;
    float *places = track->places + 3 * (size_t)motion->moving_count * frame;
    for (uint32_t j = 0; j < motion->joint_count; j++) {
        const struct motion_joint *joint = &motion->joints[j];
        struct quat turn = quat_identity();
        double place[3] = {joint->offset.x, joint->offset.y, joint->offset.z};
        for (uint8_t c = 0; c < bvh->channel_count[j]; c++) {
            double number;
            int rc = motion_text_number(bvh->text, false, &number);
            if (rc != 0)
                return rc;
            if (fabs(number) > 1e9)
                return motion_text_fail(bvh->text, "%g is no turn or place", number);
            uint8_t which = bvh->channels[j][c];
            if (which < 3)
                place[which] = number;
            else
                turn = quat_multiply(turn,
                                     quat_about(axes[which - 3], number * 3.14159265358979 / 180));
        }
        float *out = turns + 4 * (size_t)j;
        out[0] = (float)turn.x, out[1] = (float)turn.y, out[2] = (float)turn.z,
        out[3] = (float)turn.w;
        for (int i = 0; joint->moving >= 0 && i < 3; i++)
            places[3 * (size_t)joint->moving + (size_t)i] = (float)place[i];
    }
    return 0;
}

static int read_motion(struct bvh *bvh) {
    struct motion_text *text = bvh->text;
    double frames, seconds;
    int rc = motion_text_expect(text, "MOTION");
    if (rc == 0)
        rc = motion_text_expect(text, "Frames:");
    if (rc == 0)
        rc = motion_text_number(text, false, &frames);
    if (rc != 0)
        return rc;
    if (!(frames >= 1 && frames <= MOTION_MAX_FRAMES) || frames != floor(frames))
        return motion_text_fail(text, "a motion has 1 to %d frames, not %g", MOTION_MAX_FRAMES,
                                frames);
    rc = motion_text_expect(text, "Frame");
    if (rc == 0)
        rc = motion_text_expect(text, "Time:");
    if (rc == 0)
        rc = motion_text_number(text, false, &seconds);
    if (rc != 0)
        return rc;
    if (!(seconds >= 1e-4 && seconds <= 10))
        return motion_text_fail(text, "a frame lasts 0.0001 to 10 seconds, not %g", seconds);
    if (bvh->channel_sum == 0)
        return motion_text_fail(text, "no joint has a channel");
    /* A number and a blank are two bytes: more frames than that are not there. */
    if (frames * bvh->channel_sum > ((double)(text->end - text->at) + 1) / 2)
        return motion_text_fail(text, "the file is too short for %g frames of %u numbers", frames,
                                bvh->channel_sum);
    rc = motion_track_add(bvh->motion, NULL, (uint32_t)frames, 1 / seconds, text->err);
    for (uint32_t frame = 0; rc == 0 && frame < (uint32_t)frames; frame++)
        rc = read_frame(bvh, &bvh->motion->tracks[0], frame);
    return rc;
}

int motion_read_bvh(struct motion *motion, struct motion_text *text) {
    struct bvh bvh = {.motion = motion, .text = text};
    bvh.channels = calloc(MOTION_MAX_JOINTS, sizeof *bvh.channels);
    bvh.channel_count = calloc(MOTION_MAX_JOINTS, sizeof *bvh.channel_count);
    if (bvh.channels == NULL || bvh.channel_count == NULL) {
        free(bvh.channels);
        free(bvh.channel_count);
        return no_memory(&bvh);
    }
    int rc = motion_text_expect(text, "HIERARCHY");
    if (rc == 0)
        rc = motion_text_expect(text, "ROOT");
    if (rc == 0)
        rc = read_joint(&bvh, -1, 0);
    if (rc == 0 && motion_word_is(motion_text_peek(text, false), "ROOT")) {
        motion_text_word(text, false);
        rc = motion_text_fail(text, "a second ROOT: one person a file is read");
    }
    if (rc == 0)
        rc = read_motion(&bvh);
    free(bvh.channels);
    free(bvh.channel_count);
    return rc;
}
