/* job_refusals.h: bodies of jobs that are taken, and those that are refused with the field's name. */
#ifndef GRAFT_TESTS_JOB_REFUSALS_H
#define GRAFT_TESTS_JOB_REFUSALS_H

#include "registry_jobs.h"

typedef struct refusal {
    const char *members; /* of trainingInput, predictionInput, or params[0] */
    const char *message;
} refusal;

/* REFUSE_EACH(format, list): each with its members in the place of '@'. */
static inline void refuse(const char *body, gf_status status, const char *message)
{
    REFUSES(status, message, gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
}

static inline void refuse_each(const char *format, const refusal *refusals, size_t n)
{
    char body[1024];
    for (size_t i = 0; i < n; i++) {
        char *at = strstr(format, "@");
        snprintf(body, sizeof body, "%.*s%s%s", (int)(at - format), format, refusals[i].members,
                 at + 1);
        refuse(body, GF_EINVAL, refusals[i].message);
    }
    GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    CHECK_STR(text, "{}");
}
#define REFUSE_EACH(format, list) refuse_each(format, list, sizeof list / sizeof list[0])

/* A body of its members, taken; its document is in text. */
static inline void take(const char *format, const char *members)
{
    static int n_taken;
    char body[2048], id[16];
    const char *at = strstr(format, "@"), *name = strstr(format, "\"j\"");
    snprintf(id, sizeof id, "\"t%d\"", n_taken++);
    CHECK(at != NULL && name != NULL);
    snprintf(body, sizeof body, "%.*s%s%.*s%s%s", (int)(name - format), format, id,
             (int)(at - name - 3), name + 3, members, at + 1);
    GET(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
}

#define TRAINING "{\"jobId\":\"j\",\"trainingInput\":{@}}"
#define OWN      "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\",@}}"
#define SEARCH                                                                                     \
    "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\",\"hyperparameters\":{@}" \
    "}}"
#define PARAM                                                                                 \
    "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\","                   \
    "\"hyperparameters\":{\"params\":[{\"parameterName\":\"first\",\"type\":\"CATEGORICAL\"," \
    "\"categoricalValues\":[\"a\"]},{@}]}}}"
#define PREDICTION "{\"jobId\":\"j\",\"predictionInput\":{@}}"
#define COMPLETE                                                                   \
    "{\"jobId\":\"j\",\"predictionInput\":{\"modelName\":\"projects/p/models/m\"," \
    "\"dataFormat\":\"JSON\",\"inputPaths\":[\"gs://bucket/in/*.json\"],"          \
    "\"outputPath\":\"gs://bucket/out/\"@}}"

#endif
