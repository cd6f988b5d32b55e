/* motion_acclaim.c - Acclaim's skeletons (ASF) and frames (AMC), as in CMU's collection.
 *
 * A bone has a direction and a length in the skeleton's world, axes of its own (`axis`: turns about
 * x, y and z of the world, in the order that is named), and degrees of freedom, which turn it about
 * those axes. So with C the turn of the axes and M the product of a frame's angles, the bone turns
 * by C M C^-1 away from rest. A joint here is where a bone starts; where a last bone ends is
 * another joint. Lengths stay in the file's units. AMC knows no frame rate: CMU's is 120 a second.
 */
#include <stdio.h>
#include <stdlib.h>

#include "media/motion_parts.h"

enum { FREEDOMS = 7, NAME_SIZE = 64 };

static const double frame_rate = 120, degree = 3.14159265358979 / 180;

struct bone {
    char name[NAME_SIZE];
    struct vec direction;
    double length;
    struct quat axes;
    uint8_t freedoms[FREEDOMS]; /* what a frame's numbers are: 0-2 places, 3-5 turns, 6 length */
    uint8_t freedom_count;
    int parent; /* -1: the root's; -2: not told */
    bool used;  /* it is a joint by now */
    int joint;
};

struct acclaim {
    struct motion *motion;
    struct motion_text *text;
    struct bone *bones; /* [0] is the root */
    uint32_t count;
    double angle; /* radians a unit of the file that is read */
    struct vec position;
};

static int no_memory(const struct acclaim *acclaim) {
    return err_set(acclaim->text->err, ERR_NO_MEMORY, "%s: no memory to read it",
                   acclaim->text->name);
}

static int shown(struct motion_word word) {
    return word.length < 40 ? (int)word.length : 40;
}

static int read_vec(struct motion_text *text, struct vec *out) {
    int rc = motion_text_number(text, true, &out->x);
    if (rc == 0)
        rc = motion_text_number(text, true, &out->y);
    return rc != 0 ? rc : motion_text_number(text, true, &out->z);
}

/* -- The skeleton ------------------------------------------------------------------------------ */

/* "XYZ": turned about x first. */
static int read_axis_order(struct motion_text *text, struct vec angles, double unit,
                           struct quat *out) {
    struct motion_word word = motion_text_word(text, true);
    const double about[] = {angles.x * unit, angles.y * unit, angles.z * unit};
    static const struct vec axes[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    unsigned seen = 0;
    *out = quat_identity();
    for (size_t i = 0; i < 3; i++) {
        int axis = word.length == 3 ? (word.at[i] | 32) - 'x' : -1;
        if (axis < 0 || axis > 2 || (seen >> axis & 1) != 0)
            return motion_text_fail(text, "an order of axes like XYZ was expected, not \"%.*s\"",
                                    shown(word), word.at);
        seen |= 1u << axis;
        *out = quat_multiply(quat_about(axes[axis], about[axis]), *out);
    }
    return 0;
}

static int read_freedoms(struct acclaim *acclaim, struct bone *bone) {
    static const char *const names[FREEDOMS] = {"tx", "ty", "tz", "rx", "ry", "rz", "l"};
    for (bone->freedom_count = 0;;) {
        struct motion_word word = motion_text_word(acclaim->text, true);
        uint8_t which = 0;
        if (word.length == 0)
            return 0;
        while (which < FREEDOMS && !motion_word_is(word, names[which]))
            which++;
        if (which == FREEDOMS || bone->freedom_count == FREEDOMS)
            return motion_text_fail(acclaim->text,
                                    "\"%.*s\" is no degree of freedom, or one too many",
                                    shown(word), word.at);
        bone->freedoms[bone->freedom_count++] = which;
    }
}

static int set_name(struct acclaim *acclaim, struct bone *bone) {
    struct motion_word word = motion_text_rest(acclaim->text);
    if (word.length == 0 || word.length >= NAME_SIZE)
        return motion_text_fail(acclaim->text, "a bone's name has 1 to %d letters", NAME_SIZE - 1);
    memcpy(bone->name, word.at, word.length);
    bone->name[word.length] = '\0';
    return 0;
}

/* One line of `:root`, or of a bone between begin and end; unknown ones are passed over. */
static int read_property(struct acclaim *acclaim, struct bone *bone, struct motion_word word) {
    struct motion_text *text = acclaim->text;
    struct vec angles;
    int rc = 0;
    if (motion_word_is(word, "name")) {
        rc = set_name(acclaim, bone);
    } else if (motion_word_is(word, "direction")) {
        rc = read_vec(text, &bone->direction);
    } else if (motion_word_is(word, "length")) {
        rc = motion_text_number(text, true, &bone->length);
    } else if (motion_word_is(word, "dof") || motion_word_is(word, "order")) {
        rc = read_freedoms(acclaim, bone);
    } else if (motion_word_is(word, "position")) {
        rc = read_vec(text, &acclaim->position);
    } else if (motion_word_is(word, "axis") && bone != &acclaim->bones[0]) {
        rc = read_vec(text, &angles);
        if (rc == 0)
            rc = read_axis_order(text, angles, acclaim->angle, &bone->axes);
    } else if (motion_word_is(word, "orientation")) {
        rc = read_vec(text, &angles);
        bone->axes = quat_multiply(
            quat_about((struct vec){0, 0, 1}, angles.z * acclaim->angle),
            quat_multiply(quat_about((struct vec){0, 1, 0}, angles.y * acclaim->angle),
                          quat_about((struct vec){1, 0, 0}, angles.x * acclaim->angle)));
    } else {
        motion_text_rest(text);
    }
    return rc;
}

static int read_bone(struct acclaim *acclaim) {
    if (acclaim->count == MOTION_MAX_JOINTS)
        return err_set(acclaim->text->err, ERR_TOO_LARGE, "%s:%u: more than %d bones",
                       acclaim->text->name, acclaim->text->line, MOTION_MAX_JOINTS);
    struct bone *bone = &acclaim->bones[acclaim->count++];
    *bone = (struct bone){.axes = quat_identity(), .parent = -2};
    for (;;) {
        struct motion_word word = motion_text_word(acclaim->text, false);
        if (motion_word_is(word, "end"))
            break;
        if (word.length == 0)
            return motion_text_fail(acclaim->text, "the file ends inside a bone");
        int rc = read_property(acclaim, bone, word);
        if (rc != 0)
            return rc;
    }
    if (bone->name[0] == '\0')
        return motion_text_fail(acclaim->text, "the bone that ends here has no name");
    bone->direction = vec_unit(bone->direction);
    return 0;
}

static struct bone *find_bone(const struct acclaim *acclaim, struct motion_word name) {
    for (uint32_t i = 0; i < acclaim->count; i++)
        if (motion_word_is(name, acclaim->bones[i].name))
            return &acclaim->bones[i];
    return NULL;
}

/* "root lhipjoint rhipjoint lowerback": the first has the others below it. */
static int read_family(struct acclaim *acclaim, struct motion_word word) {
    struct motion_text *text = acclaim->text;
    struct bone *above = find_bone(acclaim, word);
    for (bool first = true;; first = false) {
        struct bone *bone = first ? above : find_bone(acclaim, word);
        if (bone == NULL)
            return motion_text_fail(text, "no bone is called \"%.*s\"", shown(word), word.at);
        if (!first && bone->parent != -2)
            return motion_text_fail(text, "the bone %s hangs on two others", bone->name);
        if (!first)
            bone->parent = (int)(above - acclaim->bones);
        word = motion_text_word(text, true);
        if (word.length == 0)
            return 0;
    }
}

static int read_section(struct acclaim *acclaim, struct motion_word section) {
    struct motion_text *text = acclaim->text;
    bool units = motion_word_is(section, ":units"), root = motion_word_is(section, ":root"),
         bones = motion_word_is(section, ":bonedata"), tree = motion_word_is(section, ":hierarchy");
    if (!root)
        motion_text_rest(text);
    for (;;) {
        struct motion_word word = motion_text_peek(text, false);
        int rc = 0;
        if (word.length == 0 || word.at[0] == ':')
            return 0;
        motion_text_word(text, false);
        if (units && motion_word_is(word, "angle"))
            acclaim->angle = motion_word_is(motion_text_word(text, true), "rad") ? 1 : degree;
        else if (root)
            rc = read_property(acclaim, &acclaim->bones[0], word);
        else if (bones && motion_word_is(word, "begin"))
            rc = read_bone(acclaim);
        else if (tree && !motion_word_is(word, "begin") && !motion_word_is(word, "end"))
            rc = read_family(acclaim, word);
        else
            motion_text_rest(text);
        if (rc != 0)
            return rc;
    }
}

/* Joints in the order of the tree, each after the one that it hangs on, and ends of last bones. */
static int make_joints(struct acclaim *acclaim) {
    struct motion *motion = acclaim->motion;
    bool more = true, *last = calloc(acclaim->count, sizeof *last);
    for (uint32_t i = 0; last != NULL && i < acclaim->count; i++)
        last[i] = true;
    while (last != NULL && more) {
        more = false;
        for (uint32_t i = 0; i < acclaim->count; i++) {
            struct bone *bone = &acclaim->bones[i],
                        *above = bone->parent >= 0 ? &acclaim->bones[bone->parent] : NULL;
            if (bone->used || bone->parent == -2 || (above != NULL && !above->used))
                continue;
            struct motion_joint *joint = motion_joint_add(motion, bone->name, strlen(bone->name),
                                                          above != NULL ? above->joint : -1);
            if (joint == NULL)
                goto fail;
            if (above != NULL) {
                joint->offset = vec_scale(above->direction, above->length);
                last[bone->parent] = false;
            }
            bone->joint = (int)motion->joint_count - 1;
            bone->used = more = true;
        }
    }
    for (uint32_t i = 0; last != NULL && i < acclaim->count; i++) {
        char name[NAME_SIZE + 8];
        const struct bone *bone = &acclaim->bones[i];
        if (!last[i] || !bone->used)
            continue;
        int length = snprintf(name, sizeof name, "%s_End", bone->name);
        struct motion_joint *joint = motion_joint_add(motion, name, (size_t)length, bone->joint);
        if (joint == NULL)
            goto fail;
        joint->offset = vec_scale(bone->direction, bone->length);
    }
    if (last == NULL)
        goto fail;
    free(last);
    motion->joints[0].moving = 0;
    motion->moving_count = 1;
    return 0;
fail:
    free(last);
    return no_memory(acclaim);
}

static int read_skeleton(struct acclaim *acclaim) {
    struct motion_text *text = acclaim->text;
    acclaim->bones[0] = (struct bone){.name = "root", .axes = quat_identity(), .parent = -1};
    acclaim->count = 1;
    acclaim->angle = degree;
    for (;;) {
        struct motion_word word = motion_text_word(text, false);
        int rc = 0;
        if (word.length == 0)
            break;
        if (word.at[0] == ':')
            rc = read_section(acclaim, word);
        else if (word.at[0] == '#')
            motion_text_rest(text);
        else
            rc = motion_text_fail(text, "a section like :bonedata was expected, not \"%.*s\"",
                                  shown(word), word.at);
        if (rc != 0)
            return rc;
    }
    if (acclaim->count < 2)
        return motion_text_fail(text, "the skeleton has no bones");
    if (acclaim->bones[0].freedom_count == 0)
        return motion_text_fail(text,
                                "the skeleton has no :root with an order like TX TY TZ RX RY RZ");
    return make_joints(acclaim);
}

/* -- The frames -------------------------------------------------------------------------------- */

static bool is_frame_number(struct motion_word word) {
    for (size_t i = 0; i < word.length; i++)
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
    return word.length > 0;
}

static uint32_t count_frames(struct motion_text text) {
    uint32_t count = 0;
    for (;;) {
        struct motion_word word = motion_text_word(&text, false);
        if (word.length == 0)
            return count;
        count += is_frame_number(word) && motion_text_peek(&text, true).length == 0;
        motion_text_rest(&text);
    }
}

/* The numbers of one bone in one frame. */
static int read_turn(struct acclaim *acclaim, const struct bone *bone,
                     const struct motion_track *track, uint32_t frame) {
    static const struct vec axes[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    struct quat turn = quat_identity();
    double place[3] = {acclaim->position.x, acclaim->position.y, acclaim->position.z};
    for (uint8_t i = 0; i < bone->freedom_count; i++) {
        double number;
        uint8_t which = bone->freedoms[i];
        int rc = motion_text_number(acclaim->text, true, &number);
        if (rc != 0)
            return rc;
        if (fabs(number) > 1e9)
            return motion_text_fail(acclaim->text, "%g is no turn or place", number);
        if (which < 3)
            place[which] += number;
        else if (which < 6) /* the first one named turns first */
            turn = quat_multiply(quat_about(axes[which - 3], number * acclaim->angle), turn);
    }
    if (motion_text_peek(acclaim->text, true).length != 0)
        return motion_text_fail(acclaim->text, "%s has %d degrees of freedom, and more numbers",
                                bone->name, bone->freedom_count);
    turn = quat_multiply(quat_multiply(bone->axes, turn), quat_inverse(bone->axes));
    float *out =
        track->turns + 4 * ((size_t)acclaim->motion->joint_count * frame + (size_t)bone->joint);
    out[0] = (float)turn.x, out[1] = (float)turn.y, out[2] = (float)turn.z, out[3] = (float)turn.w;
    for (size_t i = 0; bone == acclaim->bones && i < 3; i++)
        track->places[3 * (size_t)frame + i] = (float)place[i];
    return 0;
}

/* A bone that a frame leaves out stays as it was. */
static void start_frame(const struct motion *motion, uint32_t frame) {
    const struct motion_track *track = &motion->tracks[0];
    size_t turns = 4 * (size_t)motion->joint_count;
    for (size_t i = 0; i < turns; i++)
        track->turns[turns * frame + i] =
            frame > 0 ? track->turns[turns * (frame - 1) + i] : (i % 4 == 3 ? 1.0f : 0);
    for (size_t i = 0; i < 3; i++)
        track->places[3 * (size_t)frame + i] =
            frame > 0 ? track->places[3 * (size_t)(frame - 1) + i] : 0;
}

static int read_frames(struct acclaim *acclaim) {
    struct motion_text *text = acclaim->text;
    uint32_t count = count_frames(*text), frame = 0;
    acclaim->angle = degree;
    if (count == 0 || count > MOTION_MAX_FRAMES)
        return motion_text_fail(text, "a motion has 1 to %d frames, not %u", MOTION_MAX_FRAMES,
                                count);
    int rc = motion_track_add(acclaim->motion, NULL, count, frame_rate, text->err);
    while (rc == 0) {
        struct motion_word word = motion_text_word(text, false);
        const struct bone *bone;
        if (word.length == 0)
            break;
        if (motion_word_is(word, ":RADIANS"))
            acclaim->angle = 1;
        if (word.at[0] == ':' || word.at[0] == '#') {
            motion_text_rest(text);
        } else if (is_frame_number(word) && motion_text_peek(text, true).length == 0) {
            start_frame(acclaim->motion, frame++);
        } else if (frame == 0) {
            rc = motion_text_fail(text, "a frame's number was expected, not \"%.*s\"", shown(word),
                                  word.at);
        } else {
            bone = find_bone(acclaim, word);
            if (bone == NULL || !bone->used)
                rc = motion_text_fail(text, "the skeleton has no bone \"%.*s\"", shown(word),
                                      word.at);
            else
                rc = read_turn(acclaim, bone, &acclaim->motion->tracks[0], frame - 1);
        }
    }
    return rc;
}

int motion_read_acclaim(struct motion *motion, struct motion_text *skeleton,
                        struct motion_text *frames) {
    struct acclaim acclaim = {.motion = motion, .text = skeleton};
    acclaim.bones = calloc(MOTION_MAX_JOINTS, sizeof *acclaim.bones);
    int rc = acclaim.bones != NULL ? read_skeleton(&acclaim) : no_memory(&acclaim);
    acclaim.text = frames;
    if (rc == 0)
        rc = read_frames(&acclaim);
    free(acclaim.bones);
    return rc;
}
