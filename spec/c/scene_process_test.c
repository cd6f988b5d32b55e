/* Importing processes that misbehave in every way, which this program plays itself, and the real
 * one over real and over broken files. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "core/child.h"
#include "mannequin_file.h"
#include "media/scene_child.h"
#include "media/scene_pack.h"
#include "media/scene_process.h"
#include "media/scene_wire.h"
#include "sandbox/confine.h"
#include "scratch.h"

enum { MIB = 1 << 20 };

static const struct scene_limits limits = {1ull << 30, 60, "/proc/self/exe"};

/* -- The process's part ------------------------------------------------------------------------ */

static const char *role;

static int confine(void *arg, struct err *err) {
    const unsigned long long *memory = arg;
    return confine_process(&(struct confine_options){.memory = *memory}, NULL, err);
}

static void say(uint32_t kind, int32_t code, const char *words) {
    struct scene_answer answer = {.kind = kind, .code = code};
    snprintf(answer.words, sizeof answer.words, "%s", words);
    CHECK(write(CHILD_LINK_FD, &answer, sizeof answer) == (ssize_t)sizeof answer);
}

static int drain(void *arg, void *bytes, size_t size, struct err *err) {
    (void)arg, (void)err;
    return write(CHILD_LINK_FD, bytes, size) == (ssize_t)size ? 0 : ERR_IO;
}

static int try_escape(void *arg, struct err *err) {
    int rc = confine(arg, err);
    bool out = open("/etc/passwd", O_RDONLY) >= 0 || socket(AF_INET, SOCK_STREAM, 0) >= 0;
    return rc != 0 ? rc : err_set(err, ERR_DENIED, out ? "it got out" : "it is shut in");
}

static int play(unsigned long long memory) {
    struct scene_query query;
    char bytes[4096];
    if (strcmp(role, "real") == 0)
        return scene_child_serve(CHILD_LINK_FD, confine, &memory);
    if (strcmp(role, "escape") == 0)
        return scene_child_serve(CHILD_LINK_FD, try_escape, &memory);
    CHECK(read(CHILD_LINK_FD, &query, sizeof query) == (ssize_t)sizeof query);
    uint64_t left = query.size + query.rigs.rig_count * sizeof *query.rigs.rigs +
                    query.rigs.entry_count * sizeof *query.rigs.entries +
                    query.rigs.word_count * sizeof *query.rigs.words;
    while (left > 0)
        left -= (uint64_t)read(CHILD_LINK_FD, bytes, left < 4096 ? (size_t)left : 4096);
    if (strcmp(role, "crash") == 0) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers would report it and exit */
        raise(SIGSEGV);
    }
    if (strcmp(role, "hang") == 0)
        pause();
    if (strcmp(role, "words") == 0)
        say(SCENE_FAILED, 4711, "red \033[31m words\n");
    if (strcmp(role, "linger") == 0) {
        say(SCENE_FAILED, ERR_CORRUPT, "a reason");
        pause();
    }
    if (strcmp(role, "shut") == 0) {
        close(CHILD_LINK_FD);
        pause();
    }
    if (strcmp(role, "noise") == 0)
        say(99, 0, "");
    if (strcmp(role, "half") == 0) {
        say(SCENE_BODY, 0, "");
        CHECK(write(CHILD_LINK_FD, "bo", 2) == 2);
    }
    if (strcmp(role, "wild") == 0) {
        struct scene scene = {.name = (char *)(uintptr_t) "a"};
        say(SCENE_BODY, 0, "");
        scene_pack_send(&scene, &(struct scene_mesh){0}, drain, NULL, NULL);
    }
    for (int i = 0; strcmp(role, "needy") == 0 && i < 5000; i++) {
        uint64_t size;
        say(SCENE_NEEDS, 0, "nothing.png");
        if (read(CHILD_LINK_FD, &size, sizeof size) != sizeof size || size != SCENE_NONE)
            break;
    }
    return 3;
}

/* -- Ours -------------------------------------------------------------------------------------- */

static int open_as(const char *as, const struct scene_limits *within, struct scene **scene,
                   struct err *err) {
    struct file file = file_take();
    size_t size;
    uint8_t *bytes = file_join(&file, &size);
    *scene = NULL;
    *err = (struct err){0};
    setenv("SCENE_ROLE", as, 1);
    const struct scene_options options = {.rigs = rigs()};
    int rc = scene_open_bytes_confined(bytes, size, "wood.glb", &options, within, scene, err);
    free(bytes);
    return rc;
}

static bool are_equal(const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= 0))
            return false;
    return true;
}

/* A picture of a body with what its pixels show. */
enum { SIDE = 96 };
struct seen {
    uint8_t rgb[SIDE * SIDE * 3], part[SIDE * SIDE], cover[SIDE * SIDE];
};

static void look(const struct scene *scene, struct seen *seen) {
    char why[GPU_WHY_SIZE] = "";
    struct gpu_renderer *renderer;
    struct gpu_lighting lighting;
    struct gpu_view view = {.frame = 0};
    float *palette = malloc(12 * sizeof *palette * scene_joint_count(scene));
    gpu_lighting_default(&lighting);
    gpu_camera_look_at(&view.camera, (float[]){0, 1, 4}, (float[]){0, 0.9f, 0}, 0.6f, SIDE, SIDE);
    scene_pose(scene, 0, 0.3, palette);
    const struct gpu_actor actor = {.scene = scene_gpu(scene), .pose = palette};
    const struct gpu_frame frame = {.actor_count = 1, .actors = &actor, .lighting = &lighting};
    const struct gpu_batch batch = {
        .view_count = 1, .frame_count = 1, .views = &view, .frames = &frame, .samples = 4};
    const struct gpu_image image = {.rgb = seen->rgb, .part = seen->part, .cover = seen->cover};
    memset(seen, 0, sizeof *seen);
    CHECK(gpu_renderer_new("cpu", &renderer, why) == 0);
    CHECK(gpu_render(renderer, &batch, &image, NULL, why) == 0);
    CHECK_TEXT(why, "");
    gpu_renderer_free(renderer);
    free(palette);
}

static void gives_the_same_body_as_importing_here(void) {
    struct scene *here = open_plain(), *there;
    struct err err;
    CHECK(open_as("real", &limits, &there, &err) == 0);
    CHECK_TEXT(err.message, "");
    if (there == NULL)
        return;
    CHECK_TEXT(scene_name(there), scene_name(here));
    CHECK(scene_joint_count(there) == scene_joint_count(here));
    CHECK(scene_clip_count(there) == scene_clip_count(here));
    CHECK(farthest(here, there) <= 0);
    CHECK_TEXT(scene_report(there)->rig, scene_report(here)->rig);
    CHECK(scene_report(there)->textures == scene_report(here)->textures);
    static struct seen seen[2];
    look(here, &seen[0]);
    look(there, &seen[1]);
    CHECK(memcmp(&seen[0], &seen[1], sizeof seen[0]) == 0);
    float *poses[2], boxes[2][6];
    const struct scene *scenes[2] = {here, there};
    for (int clip = SCENE_REST; clip < (int)scene_clip_count(here); clip++) {
        for (int i = 0; i < 2; i++) {
            poses[i] = calloc(scene_joint_count(here), 12 * sizeof(float));
            scene_pose(scenes[i], clip, 0.3, poses[i]);
            CHECK(scene_box(scenes[i], clip, boxes[i], &err) == 0);
        }
        CHECK(are_equal(poses[0], poses[1], scene_joint_count(here) * 12));
        CHECK(are_equal(boxes[0], boxes[1], 6));
        free(poses[0]);
        free(poses[1]);
    }
    scene_release(here);
    scene_release(there);
}

static void says_what_became_of_the_process(void) {
    static const struct {
        const char *role, *words;
        int code;
    } cases[] = {
        {"crash", "wood.glb: the importer was ended by signal 11", ERR_CORRUPT},
        {"noise", "wood.glb: the importing process gave a malformed answer", ERR_UPSTREAM},
        {"half", "wood.glb: the importer gave up (exit code 3)", ERR_CORRUPT},
        {"wild", "sent no body (its numbers do not fit together)", ERR_UPSTREAM},
        {"needy", "it refers to more than 4096 files", ERR_CORRUPT},
        {"words", "red  [31m words ", ERR_UPSTREAM},
        {"linger", "a reason", ERR_CORRUPT},
        {"shut", "wood.glb: the importer was ended by signal 9", ERR_CORRUPT},
        {"mute", "wood.glb: the importer gave up (exit code 3)", ERR_CORRUPT},
        {"escape", "it is shut in", ERR_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene *scene;
        struct err err;
        CHECK(open_as(cases[i].role, &limits, &scene, &err) == cases[i].code && scene == NULL);
        if (strstr(err.message, cases[i].words) == NULL)
            CHECK_TEXT(err.message, cases[i].words);
    }
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void ends_a_process_that_takes_too_long(void) {
    const struct scene_limits little = {1ull << 30, 0.2, "/proc/self/exe"};
    struct scene *scene;
    struct err err;
    CHECK(open_as("hang", &little, &scene, &err) == ERR_TIMEOUT);
    CHECK_TEXT(err.message, "wood.glb: not imported within 0.2 s (setting scene_timeout)");
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void keeps_to_the_limit_of_memory(void) {
    const struct scene_limits little = {2 * MIB, 60, "/proc/self/exe"};
    struct scene *scene;
    struct err err;
    int rc = open_as("real", &little, &scene, &err);
    CHECK((rc == ERR_NO_MEMORY || rc == ERR_TOO_LARGE) && scene == NULL);
    CHECK_TEXT(err.message, "wood.glb: it takes more than 2 MiB (setting scene_memory)");
}

static void says_when_there_is_no_program(void) {
    const struct scene_limits nowhere = {MIB, 1, "/nowhere/stance"};
    struct scene *scene;
    struct err err;
    CHECK(open_as("real", &nowhere, &scene, &err) == ERR_NOT_FOUND && scene == NULL);
}

/* -- Files beside the scene -------------------------------------------------------------------- */

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *out = fopen(path, "wb");
    CHECK(out != NULL && fwrite(bytes, 1, size, out) == size && fclose(out) == 0);
}

/* The mannequin whose first picture lies at png_path and is called `uri`. */
static struct scene *open_with_uri(const char *path, const char *uri, const char *png_path) {
    struct file file = file_take();
    json_t *image = json_array_get(json_object_get(file.json, "images"), 0);
    json_t *view = json_array_get(json_object_get(file.json, "bufferViews"),
                                  (size_t)json_integer_value(json_object_get(image, "bufferView")));
    struct scene *scene = NULL;
    struct err err = {0};
    size_t size;
    write_file(png_path, file.binary + 8 + json_integer_value(json_object_get(view, "byteOffset")),
               (size_t)json_integer_value(json_object_get(view, "byteLength")));
    json_object_clear(image);
    json_object_set_new(image, "uri", json_string(uri));
    uint8_t *bytes = file_join(&file, &size);
    write_file(path, bytes, size);
    free(bytes);
    setenv("SCENE_ROLE", "real", 1);
    const struct scene_options options = {.rigs = rigs()};
    CHECK(scene_open_confined(path, &options, &limits, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    return scene;
}

static void fetches_files_from_the_folder_only(void) {
    const char *root = scratch("beside");
    char inner[300], inside[320], outside[320], path[320];
    snprintf(inner, sizeof inner, "%s/body", root);
    snprintf(inside, sizeof inside, "%s/skin.png", inner);
    snprintf(path, sizeof path, "%s/wood.glb", inner);
    snprintf(outside, sizeof outside, "%s/secret.png", root);
    mkdir(root, 0700);
    mkdir(inner, 0700);
    struct scene *scene = open_with_uri(path, "skin.png", inside);
    uint32_t all = scene_report(scene)->textures;
    CHECK(!warned(scene, "missing"));
    scene_release(scene);
    scene = open_with_uri(path, "../secret.png", outside);
    CHECK(scene_report(scene)->textures == all - 1 && warned(scene, "secret.png is missing"));
    scene_release(scene);
}

/* -- What is sent is not believed -------------------------------------------------------------- */

struct tape {
    uint8_t *bytes;
    size_t size, at, room;
};

static int record(void *arg, void *bytes, size_t size, struct err *err) {
    struct tape *tape = arg;
    (void)err;
    if (tape->size + size > tape->room) {
        tape->room = 2 * (tape->size + size);
        tape->bytes = realloc(tape->bytes, tape->room);
    }
    memcpy(tape->bytes + tape->size, bytes, size);
    tape->size += size;
    return 0;
}

static int replay(void *arg, void *bytes, size_t size, struct err *err) {
    struct tape *tape = arg;
    if (size > tape->size - tape->at)
        return err_set(err, ERR_CLOSED, "the tape ends");
    memcpy(bytes, tape->bytes + tape->at, size);
    tape->at += size;
    return 0;
}

static uint64_t chance(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* A body that was taken must stand whatever is done with bodies. */
static void use(struct scene *scene, const struct scene_mesh *mesh) {
    struct err err;
    float box[6];
    if (scene_upload(scene, mesh, "tape", &err) != 0)
        return;
    float *palette = calloc(scene_joint_count(scene), 12 * sizeof *palette);
    for (int clip = SCENE_REST; clip < (int)scene_clip_count(scene) && clip < 2; clip++) {
        scene_pose(scene, clip, 0.3, palette);
        gpu_actor_box(&(struct gpu_actor){.scene = scene_gpu(scene), .pose = palette}, box);
    }
    free(palette);
}

static int receive_tape(struct tape *tape) {
    struct scene_mesh mesh = {0};
    struct scene *scene = scene_new();
    struct err err = {0};
    tape->at = 0;
    int rc = scene_pack_receive(scene, &mesh, 256 * MIB, replay, tape, &err);
    if (rc == 0)
        use(scene, &mesh);
    scene_mesh_deinit(&mesh);
    scene_release(scene);
    return rc;
}

static void survives_any_change_of_what_is_sent(void) {
    struct file file = file_take();
    size_t size;
    uint8_t *bytes = file_join(&file, &size);
    struct scene_source source = {.name = "a.glb", .bytes = bytes, .size = size, .folder = -1};
    struct scene_mesh mesh = {0};
    struct scene *scene = NULL;
    struct tape tape = {0}, copy;
    struct err err = {0};
    int taken = 0;
    const struct scene_options options = {.rigs = rigs()};
    CHECK(scene_read_source(&source, &options, &scene, &mesh, &err) == 0);
    CHECK(scene_pack_send(scene, &mesh, record, &tape, &err) == 0);
    scene_mesh_deinit(&mesh);
    scene_release(scene);
    free(bytes);
    CHECK(receive_tape(&tape) == 0);
    copy = tape;
    copy.bytes = malloc(tape.size);
    uint64_t state = 20260101;
    for (int i = 0; i < 1500; i++) {
        memcpy(copy.bytes, tape.bytes, tape.size);
        /* The skeleton and the clips lie before the mesh, which is most of it. */
        size_t reach = i % 2 ? tape.size : 40000;
        for (uint64_t n = chance(&state) % 4 + 1; n-- > 0;)
            copy.bytes[chance(&state) % reach] = (uint8_t)chance(&state);
        copy.size = i % 10 ? tape.size : chance(&state) % tape.size;
        taken += receive_tape(&copy) == 0;
    }
    CHECK(taken > 100 && taken < 1490);
    free(copy.bytes);
    free(tape.bytes);
}

int main(int argc, char **argv) {
    role = getenv("SCENE_ROLE");
    if (argc == 5 && strcmp(argv[1], "render") == 0 && role != NULL)
        return play(strtoull(argv[4], NULL, 10));
    static const struct test tests[] = {
        TEST(gives_the_same_body_as_importing_here), TEST(says_what_became_of_the_process),
        TEST(ends_a_process_that_takes_too_long),    TEST(keeps_to_the_limit_of_memory),
        TEST(says_when_there_is_no_program),         TEST(fetches_files_from_the_folder_only),
        TEST(survives_any_change_of_what_is_sent),
    };
    return RUN(tests);
}
