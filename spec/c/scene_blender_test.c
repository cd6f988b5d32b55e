/* Bodies beside Blender: the skinned boxes of every character of the asset folder, in up to three
 * clips at five moments each, agree to a millimetre. Skipped where there is no Blender. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "media/scene.h"
#include "rigs.h"
#include "scratch.h"
#include "stance_gpu.h"

enum { CLIPS = 3, MOMENTS = 5 };

static bool have_blender(void) {
    return system("blender --version >/dev/null 2>&1") == 0;
}

/* Ours in the file's own metres, up to where it stands. */
static void own_box(const struct scene *scene, int clip, double time, double out[6]) {
    float *pose = malloc(12 * sizeof *pose * scene_joint_count(scene)), box[6] = {0};
    float *morphs = calloc(scene_morph_count(scene) + 1, sizeof *morphs);
    struct gpu_actor actor = {.scene = scene_gpu(scene), .pose = pose, .morphs = morphs};
    scene_pose(scene, clip, time, pose);
    scene_morphs(scene, clip, time, morphs);
    CHECK(gpu_actor_box(&actor, box) == 0);
    for (int i = 0; i < 6; i++)
        out[i] = (double)box[i] / scene_report(scene)->scale;
    free(pose);
    free(morphs);
}

/* Writes what is asked of Blender; returns the number of lines. */
static int write_questions(const struct scene *scene, const char *path) {
    FILE *out = fopen(path, "w");
    uint32_t clips = scene_clip_count(scene), some = clips < CLIPS ? clips : CLIPS;
    for (uint32_t c = 0; c < some; c++) {
        uint32_t clip = (uint32_t)((uint64_t)c * clips / some);
        double seconds = scene_clip_seconds(scene, clip), rate = scene_clip_rate(scene, clip);
        for (int i = 0; i < MOMENTS; i++) /* on keys: between them Blender has curves of its own */
            fprintf(out, "%s\t%.9f\n", scene_clip_name(scene, clip),
                    rint(seconds * rate * i / (MOMENTS - 1)) / rate);
    }
    fclose(out);
    return (int)some * MOMENTS;
}

/* Bodies are moved to stand upright over the origin: the first box of each tells by how much, and
 * all others must agree with that. */
static void compare(const char *file, const char *hidden) {
    struct scene *scene = NULL;
    struct err err = {0};
    const struct scene_options options = {.rigs = rigs()};
    char path[600], questions[400], command[1400], line[1000];
    const char *assets = getenv("STANCE_ASSETS");
    snprintf(path, sizeof path, "%s/%s", assets != NULL ? assets : "../shared/assets", file);
    CHECK(scene_open(path, &options, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    if (scene == NULL)
        return;
    snprintf(questions, sizeof questions, "%s", scratch("questions"));
    int asked = write_questions(scene, questions), answered = 0;
    snprintf(command, sizeof command,
             "blender -b --factory-startup -P spec/blender/boxes.py -- '%s' '%s' <'%s' "
             "2>/dev/null",
             path, hidden, questions);
    FILE *answers = popen(command, "r");
    double moved[3] = {0}, worst = 0;
    while (answers != NULL && fgets(line, sizeof line, answers) != NULL) {
        char name[200];
        double time, theirs[6], ours[6];
        if (sscanf(line, "BOX\t%199[^\t]\t%lf\t%lf\t%lf\t%lf\t%lf\t%lf\t%lf", name, &time,
                   &theirs[0], &theirs[1], &theirs[2], &theirs[3], &theirs[4], &theirs[5]) != 8)
            continue;
        own_box(scene, scene_find_clip(scene, name), time, ours);
        for (int i = 0; i < 3 && answered == 0; i++)
            moved[i] = 0.5 * (ours[i] + ours[3 + i] - theirs[i] - theirs[3 + i]);
        for (int i = 0; i < 6; i++) {
            double far = fabs(ours[i] - theirs[i] - moved[i % 3]);
            if (far > 1e-3)
                fprintf(stderr, "%s, %s at %.3f s: %g m away on side %d\n", file, name, time, far,
                        i);
            worst = fmax(worst, far);
        }
        answered++;
    }
    if (answers != NULL)
        pclose(answers);
    printf("    %s: %d boxes, at most %.2g mm away\n", file, answered, 1e3 * worst);
    CHECK(worst <= 1e-3);
    CHECK(answered == asked && asked > 0);
    scene_release(scene);
}

static void boxes_agree(void) {
    static const struct {
        const char *file, *hidden; /* what we leave out */
    } files[] = {
        {"characters/CesiumMan.glb", ""},
        {"characters/mh_female_walk.fbx", ""},
        {"characters/mh_female_walk.glb", ""},
        {"characters/mh_male_wave.fbx", ""},
        {"characters/kenney_character.fbx", ""},
        {"characters/quaternius_male_casual.fbx", ""},
        {"characters/quaternius_woman_smooth.fbx", ""},
        {"characters/KayKit_Knight.glb",
         "Badge_Shield,Rectangle_Shield,Round_Shield,Spike_Shield,2H_Sword"},
        {"avatars/RobotExpressive.glb", ""},
    };
    const char *assets = getenv("STANCE_ASSETS");
    if (access(assets != NULL ? assets : "../shared/assets", F_OK) != 0)
        SKIP("no asset folder");
    if (!have_blender())
        SKIP("no blender");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        compare(files[i].file, files[i].hidden);
}

int main(void) {
    static const struct test tests[] = {TEST(boxes_agree)};
    return RUN(tests);
}
