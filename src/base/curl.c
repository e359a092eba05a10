/* base/curl.c: finds libcurl and its functions. It brings thirty shared libraries that a prediction
 * must not wait for, so that it is not linked. */
#include "base/curl_priv.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    {"curl_global_init", offsetof(gf__curl, global_init)},
    {"curl_easy_init", offsetof(gf__curl, easy_init)},
    {"curl_easy_reset", offsetof(gf__curl, easy_reset)},
    {"curl_easy_setopt", offsetof(gf__curl, setopt)},
    {"curl_easy_perform", offsetof(gf__curl, perform)},
    {"curl_easy_getinfo", offsetof(gf__curl, getinfo)},
    {"curl_easy_strerror", offsetof(gf__curl, strerror)},
    {"curl_easy_cleanup", offsetof(gf__curl, easy_cleanup)},
    {"curl_slist_append", offsetof(gf__curl, slist_append)},
    {"curl_slist_free_all", offsetof(gf__curl, slist_free_all)},
};

/* Once loaded it stays (RTLD_NODELETE: it registers exit handlers), so that a second call costs
 * ten look-ups, and no table has to be kept between calls. */
gf_status gf__curl_load(gf__curl *curl, const char *what, gf_error *err)
{
    static pthread_mutex_t global_init_mutex = PTHREAD_MUTEX_INITIALIZER;
    const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    void *library = dlopen("libcurl.so.4", flags);
    if (library == NULL)
        library = dlopen("libcurl-gnutls.so.4", flags);
    if (library == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "%s need libcurl 4 (Debian: apt install libcurl4): %s", what,
                            dlerror());
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL)
            return gf_error_set(err, GF_EUNSUPPORTED, "this libcurl has no %s", symbols[i].name);
        memcpy((char *)curl + symbols[i].offset, &symbol, sizeof symbol);
    }
    pthread_mutex_lock(&global_init_mutex); /* not safe by itself before curl 7.84 */
    const CURLcode code = curl->global_init(CURL_GLOBAL_DEFAULT);
    pthread_mutex_unlock(&global_init_mutex);
    if (code != CURLE_OK)
        return gf_error_set(err, GF_EUNSUPPORTED, "libcurl cannot start: %s", curl->strerror(code));
    return GF_OK;
}

/* It is held back in this thread and taken away afterwards: a library must not kill its program, nor
 * change the program's handlers. */
CURLcode gf__curl_perform(const gf__curl *curl, CURL *handle)
{
    sigset_t sigpipe, pending, before;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    const CURLcode code = curl->perform(handle);
    if (!was_pending)
        sigtimedwait(&sigpipe, NULL, &(const struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
