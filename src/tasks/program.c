/* tasks/program.c: the program of a training job as arguments and environment: graft's own
 * trainer, or a module of the user's packages as Cloud ML Engine starts it. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

/* ---- the job's fields ---- */

static const gf__json *training_field(const gf__task *task, const char *name)
{
    return gf__json_find(gf__json_find(task->spec, "training"), name);
}

static const char *spec_text(const gf__task *task, const char *name)
{
    return gf__json_string(gf__json_find(task->spec, name), "");
}

static const char *module_of(const gf__task *task)
{
    return gf__json_string(training_field(task, "pythonModule"), "");
}

/* The command of the program that does the job, "train" for graft.train; NULL: a user's module. */
static const char *own_command(const gf__task *task)
{
    static const char *const commands[] = {"train", "features"};
    const char *module = module_of(task);
    if (strncmp(module, "graft.", 6) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(module + 6, commands[i]) == 0)
            return commands[i];
    return NULL;
}

static const char *job_id(const gf__task *task)
{
    return gf__path_base(task->name);
}

/* Trials that run at once share the job's CPUs. */
static int64_t count_threads(const gf__task *task, const gf__trial_arguments *trial)
{
    const int64_t n_cpus = gf__json_int(gf__json_find(task->spec, "nCpus"), 1);
    const gf__json *search = training_field(task, "hyperparameters");
    const gf__json *parallel = gf__json_find(search, "maxParallelTrials");
    if (trial == NULL || parallel == NULL)
        return n_cpus;
    /* An int32 in the API, and some clients write those as texts. */
    const char *text = gf__json_string(parallel, NULL);
    const int64_t n = text != NULL ? strtoll(text, NULL, 10) : gf__json_int(parallel, 1);
    return n < 1 ? n_cpus : n >= n_cpus ? 1 : n_cpus / n;
}

/* jobDir, of a trial jobDir/ID as on Cloud ML Engine, as an address; NULL: the job has none.
 * New. */
static gf_status make_job_dir(const gf__task *task, const gf__trial_arguments *trial,
                              char **address, gf_error *err)
{
    const char *dir = gf__json_string(training_field(task, "jobDir"), NULL);
    char *path = NULL;
    *address = NULL;
    if (dir == NULL || dir[0] == '\0')
        return GF_OK;
    *address = trial != NULL ? gf__path_join(dir, trial->id) : gf__strdup(dir);
    if (*address == NULL)
        return gf__error_nomem(err, "a folder's name", 0);
    size_t n_chars = strlen(*address);
    while (n_chars > 1 && (*address)[n_chars - 1] == '/')
        (*address)[--n_chars] = '\0';
    gf_status st = gf__task_path(task, *address, &path, err);
    if (st == GF_OK)
        st = gf__make_dirs(path, err);
    if (st != GF_OK)
        gf__error_prefix(err, "jobDir");
    gf__free(path);
    return st;
}

/* ---- arguments ---- */

/* "--job-dir=X" and "--job-dir" (X follows) are both of that name. */
static bool is_option(const char *argument, const char *name)
{
    const size_t n_chars = strlen(name);
    return strncmp(argument, name, n_chars) == 0 &&
           (argument[n_chars] == '\0' || argument[n_chars] == '=');
}

static const char *argument_at(const gf__json *args, size_t i)
{
    return gf__json_string(gf__json_at(args, i), "");
}

static bool has_option(const gf__json *args, const char *name)
{
    for (size_t i = 0; i < gf__json_n_items(args) && strcmp(argument_at(args, i), "--") != 0; i++)
        if (is_option(argument_at(args, i), name))
            return true;
    return false;
}

static void add_hyperparameters(gf__texts *argv, const gf__trial_arguments *trial)
{
    for (size_t i = 0; trial != NULL && i < trial->n; i++)
        gf__texts_take(argv, gf__asprintf("--%s=%s", trial->names[i], trial->values[i]));
}

/* "gs://b/x" and "--output=gs://b/x" with the path in the address' place. */
static gf_status add_mapped(const gf__task *task, gf__texts *argv, const char *argument,
                            gf_error *err)
{
    const char *equals = argument[0] == '-' ? strchr(argument, '=') : NULL;
    const char *address = equals != NULL ? equals + 1 : argument;
    char *path = NULL;
    if (strncmp(address, "gs://", 5) != 0) {
        gf__texts_add(argv, argument);
        return GF_OK;
    }
    const gf_status st = gf__task_path(task, address, &path, err);
    if (st == GF_OK)
        gf__texts_take(argv, gf__asprintf("%.*s%s", (int)(address - argument), argument, path));
    gf__free(path);
    return st;
}

/* Hyperparameters come after the arguments: of an option given twice the last one counts. But
 * before "--", after which nothing is an option. */
static gf_status add_arguments(const gf__task *task, const gf__trial_arguments *trial,
                               bool is_mapped, gf__texts *argv, gf_error *err)
{
    const gf__json *args = training_field(task, "args");
    bool is_added = false;
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__json_n_items(args) && st == GF_OK; i++) {
        const char *argument = argument_at(args, i);
        if (!is_added && strcmp(argument, "--") == 0) {
            add_hyperparameters(argv, trial);
            is_added = true;
        }
        if (is_mapped && !is_added && is_option(argument, "--job-dir"))
            i += strchr(argument, '=') == NULL;
        else if (is_mapped)
            st = add_mapped(task, argv, argument, err);
        else
            gf__texts_add(argv, argument);
    }
    if (!is_added)
        add_hyperparameters(argv, trial);
    return st;
}

/* Where nothing is said of them, model and report go to the job's folder. */
static gf_status add_outputs(const gf__task *task, const char *job_dir, gf__texts *argv,
                             gf_error *err)
{
    const gf__json *args = training_field(task, "args");
    const bool has_output = has_option(args, "--output") || has_option(args, "-o");
    const bool is_training = strcmp(own_command(task), "train") == 0;
    char *path = NULL;
    if (job_dir == NULL)
        return GF_OK;
    const gf_status st = gf__task_path(task, job_dir, &path, err);
    if (st != GF_OK)
        return st;
    if (!has_output)
        gf__texts_take(argv, gf__asprintf("--output=%s/%s", path,
                                          is_training ? "model.safetensors" : "features.npz"));
    if (is_training && !has_option(args, "--report"))
        gf__texts_take(argv, gf__asprintf("--report=%s/report.html", path));
    /* An attempt that died left its checkpoint beside the model. */
    if (is_training && !has_output && task->options->attempt > 1 && !has_option(args, "--resume"))
        gf__texts_add(argv, "--resume");
    gf__free(path);
    return GF_OK;
}

/* The folder of a file that is to be written: nobody else makes folders in buckets. */
static gf_status make_parent(const char *path, gf_error *err)
{
    char *dir = gf__strdup(path);
    char *slash = dir != NULL ? strrchr(dir, '/') : NULL;
    gf_status st = dir != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
    if (slash != NULL && slash != dir) {
        *slash = '\0';
        st = gf__make_dirs(dir, err);
    }
    gf__free(dir);
    return st;
}

static gf_status make_output_dirs(const gf__texts *argv, gf_error *err)
{
    static const char *const outputs[] = {"--output", "-o", "--report", "--plot"};
    gf_status st = GF_OK;
    for (size_t i = 0; i < argv->n && st == GF_OK; i++)
        for (size_t k = 0; k < sizeof outputs / sizeof *outputs && st == GF_OK; k++) {
            if (!is_option(argv->items[i], outputs[k]))
                continue;
            const char *equals = strchr(argv->items[i], '=');
            const char *path = equals != NULL ? equals + 1 : argv->items[i + 1];
            st = path != NULL ? make_parent(path, err) : GF_OK;
        }
    return st;
}

static gf_status fill_own_arguments(const gf__task *task, const gf__trial_arguments *trial,
                                    const char *job_dir, gf__texts *argv, gf_error *err)
{
    gf__texts_add(argv, spec_text(task, "program"));
    gf__texts_add(argv, own_command(task));
    gf__texts_take(argv, gf__asprintf("--home=%s", spec_text(task, "home")));
    gf__texts_take(argv, gf__asprintf("--threads=%lld", (long long)count_threads(task, trial)));
    gf_status st = add_outputs(task, job_dir, argv, err);
    if (st == GF_OK)
        st = add_arguments(task, trial, true, argv, err);
    if (st == GF_OK)
        st = gf__texts_status(argv, err);
    return st == GF_OK ? make_output_dirs(argv, err) : st;
}

/* As the documentation of Cloud ML Engine has it: the folder, then the arguments. */
static gf_status fill_user_arguments(const gf__task *task, const gf__trial_arguments *trial,
                                     const char *job_dir, gf__texts *argv, gf_error *err)
{
    gf__texts_add(argv, gf__task_python(task));
    gf__texts_add(argv, "-m");
    gf__texts_add(argv, module_of(task));
    if (job_dir != NULL && !has_option(training_field(task, "args"), "--job-dir")) {
        gf__texts_add(argv, "--job-dir");
        gf__texts_add(argv, job_dir);
    }
    return add_arguments(task, trial, false, argv, err);
}

/* ---- environment ---- */

/* "pythonModule" as "python_module": the job as it stands in TF_CONFIG. */
static void add_snake_case(gf__json *job, const char *name, const gf__json *value)
{
    gf__buffer snake = {0};
    for (const char *c = name; *c != '\0'; c++) {
        if (isupper((unsigned char)*c))
            gf__buffer_puts(&snake, "_");
        gf__buffer_append(&snake, &(char){(char)tolower((unsigned char)*c)}, 1);
    }
    if (!snake.failed && snake.data != NULL)
        gf__json_set(job, snake.data, gf__json_copy(value));
    gf__buffer_free(&snake);
}

static char *tensorflow_config(const gf__task *task, const gf__trial_arguments *trial)
{
    gf__json *config = gf__json_object(), *job = gf__json_object(), *self = gf__json_object();
    const gf__json *value = NULL;
    gf__buffer text = {0};
    for (const char *key = gf__json_next(gf__json_find(task->spec, "training"), NULL, &value);
         key != NULL; key = gf__json_next(gf__json_find(task->spec, "training"), key, &value))
        if (strcmp(key, "packages") != 0) /* ours, not the API's */
            add_snake_case(job, key, value);
    gf__json_set_string(self, "type", "master");
    gf__json_set_int(self, "index", 0);
    if (trial != NULL)
        gf__json_set_string(self, "trial", trial->id);
    gf__json_set(config, "job", job);
    gf__json_set(config, "task", self);
    gf__json_set_string(config, "environment", "cloud");
    gf__buffer_puts(&text, "TF_CONFIG=");
    gf__json_write(config, false, &text);
    gf__json_free(config);
    char *entry = gf__buffer_take(&text, NULL);
    gf__buffer_free(&text);
    return entry;
}

static void set(gf__texts *env, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        gf__texts_take(env, gf__asprintf("%s=%s", name, value));
}

static gf_status fill_environment(const gf__task *task, const gf__trial_arguments *trial,
                                  const char *metric_file, gf__texts *env, gf_error *err)
{
    char threads[32];
    snprintf(threads, sizeof threads, "%lld", (long long)count_threads(task, trial));
    set(env, "GRAFT_HOME", spec_text(task, "home"));
    set(env, "GRAFT_BUCKETS", spec_text(task, "buckets"));
    set(env, "GRAFT_SERVER", spec_text(task, "server"));
    set(env, "GRAFT_LIBRARY", task->options->library);
    set(env, "CLOUD_ML_JOB_ID", job_id(task));
    set(env, "CLOUD_ML_TRIAL_ID", trial != NULL ? trial->id : NULL);
    set(env, "CLOUD_ML_HP_METRIC_FILE", metric_file);
    set(env, "OMP_NUM_THREADS", threads);
    gf__texts_take(env, tensorflow_config(task, trial));
    if (own_command(task) == NULL) {
        set(env, "PYTHONPATH", task->python_path);
        set(env, "PYTHONUNBUFFERED", "1");
    }
    return gf__texts_status(env, err);
}

/* ---- the program ---- */

/* DIR/work, or DIR/trials/ID/work, and the file of metrics beside it: that of an earlier attempt
 * would be read as this one's. */
static gf_status make_places(const gf__task *task, const gf__trial_arguments *trial,
                             gf__program *program, gf_error *err)
{
    char *base = trial != NULL ? gf__asprintf("%s/trials/%s", task->options->dir, trial->id)
                               : gf__strdup(task->options->dir);
    if (base != NULL) {
        program->dir = gf__path_join(base, "work");
        program->metric_file = gf__path_join(base, "metrics.jsonl");
    }
    gf__free(base);
    if (program->dir == NULL || program->metric_file == NULL)
        return gf__error_nomem(err, "a path", 0);
    unlink(program->metric_file);
    return gf__make_dirs(program->dir, err);
}

gf_status gf__program_new(gf__task *task, const gf__trial_arguments *trial, gf__program *out,
                          gf_error *err)
{
    gf__texts argv = {0}, env = {0};
    char *job_dir = NULL;
    *out = (gf__program){0};
    if (trial != NULL && trial->id == NULL)
        trial = NULL;
    gf_status st = make_places(task, trial, out, err);
    if (st == GF_OK)
        st = make_job_dir(task, trial, &job_dir, err);
    if (st == GF_OK)
        st = own_command(task) != NULL ? fill_own_arguments(task, trial, job_dir, &argv, err)
                                       : fill_user_arguments(task, trial, job_dir, &argv, err);
    if (st == GF_OK)
        st = gf__texts_status(&argv, err);
    if (st == GF_OK)
        st = fill_environment(task, trial, out->metric_file, &env, err);
    if (st == GF_OK) {
        out->argv = gf__texts_move(&argv);
        out->env = gf__texts_move(&env);
    } else {
        gf__program_free(out);
    }
    gf__free(job_dir);
    gf__texts_free(&argv);
    gf__texts_free(&env);
    return st;
}

void gf__program_free(gf__program *program)
{
    gf__texts_free_items(program->argv);
    gf__texts_free_items(program->env);
    gf__free(program->dir);
    gf__free(program->metric_file);
    *program = (gf__program){0};
}

/* ---- what is said of one that failed ---- */

/* Whether name is module, or a package that it is in. */
static bool is_on_way_to(const char *module, const char *name, size_t n_name)
{
    return n_name > 0 && strncmp(module, name, n_name) == 0 &&
           (module[n_name] == '\0' || module[n_name] == '.');
}

/* "python3: No module named trainer.task", or, where already the package is missing, "python3: Error
 * while finding module specification for 'trainer.task' (ModuleNotFoundError: No module named
 * 'trainer')". One that the module needs is named in quotes, too, but is another. */
static bool lacks_module(const gf__task *task, const char *tail)
{
    static const char says[] = ": No module named ";
    static const char finding[] = ": Error while finding module specification for '";
    const char *last = strrchr(tail, '\n');
    last = last != NULL ? last + 1 : tail;
    const char *found = strstr(last, says);
    if (found == NULL || own_command(task) != NULL)
        return false;
    const char *name = found + sizeof says - 1;
    if (*name != '\'')
        return true;
    return strstr(last, finding) != NULL &&
           is_on_way_to(module_of(task), name + 1, strcspn(name + 1, "'"));
}

static void describe_end(const gf__task *task, int exit_status, const char *tail, gf__buffer *out)
{
    if (exit_status >= 0) {
        gf__buffer_printf(out,
                          "The replica master 0 exited with a non-zero status of %d. Termination "
                          "reason: Error.",
                          exit_status);
        if (exit_status == 1 && lacks_module(task, tail))
            gf__buffer_printf(out, " pythonModule: none of the job's packages has a module %s.",
                              module_of(task));
        return;
    }
    const char *name = sigdescr_np(-exit_status);
    gf__buffer_printf(out, "The replica master 0 was killed by signal %d (%s).", -exit_status,
                      name != NULL ? name : "unknown");
    if (exit_status == -SIGKILL)
        gf__buffer_puts(out, " The system does that to a program that uses up its memory.");
}

gf_status gf__program_failure(gf__task *task, const char *trial, int exit_status, char **out,
                              gf_error *err)
{
    const char *tail = gf__child_last_tail(task, trial);
    gf__buffer text = {0};
    describe_end(task, exit_status, tail, &text);
    if (tail[0] != '\0')
        gf__buffer_printf(&text, "\n%s", tail);
    gf__buffer_printf(&text,
                      "\nTo find out more about why your job exited please check the logs: graft "
                      "jobs stream-logs %s",
                      job_id(task));
    const gf_status st = gf__buffer_status(&text, err);
    *out = st == GF_OK ? gf__buffer_take(&text, NULL) : NULL;
    gf__buffer_free(&text);
    return st;
}
