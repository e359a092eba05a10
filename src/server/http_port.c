/* server/http_port.c: opening the port to listen on; errors say what to do. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_priv.h"

#define LISTEN_BACKLOG 511

static gf_status bind_error(const char *address, int port, int error, gf_error *err)
{
    const bool is_v6 = strchr(address, ':') != NULL;
    char name[160];
    (void)snprintf(name, sizeof name, is_v6 ? "[%.120s]:%d" : "%.120s:%d", address, port);
    if (error == EADDRINUSE)
        return gf_error_set(err, GF_EIO,
                            "%s: the port is in use; choose another, or 0 for any free one", name);
    if (error == EADDRNOTAVAIL)
        return gf_error_set(err, GF_EIO, "%s: this machine does not have that address", name);
    if (error == EACCES)
        return gf_error_set(err, GF_EIO, "%s: ports below 1024 are for root", name);
    return gf_error_set(err, GF_EIO, "%s: %s", name, strerror(error));
}

static int open_socket(const struct addrinfo *where)
{
    const int on = 1, off = 0;
    const int fd = socket(where->ai_family, where->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (where->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

gf_status gf__port_open(const char *address, int port, int *fd, int *bound_port, gf_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port_text[16];
    (void)snprintf(port_text, sizeof port_text, "%d", port);
    /* "localhost" may mean ::1 first, and then 127.0.0.1 would not answer. */
    const int failed = getaddrinfo(strcmp(address, "localhost") == 0 ? "127.0.0.1" : address,
                                   port_text, &hints, &found);
    if (failed != 0)
        return gf_error_set(err, GF_EINVAL, "address %.200s: %s", address, gai_strerror(failed));
    *fd = open_socket(found);
    const int error = errno;
    freeaddrinfo(found);
    if (*fd < 0)
        return bind_error(address, port, error, err);
    struct sockaddr_storage bound = {0};
    socklen_t n_bytes = sizeof bound;
    if (getsockname(*fd, (struct sockaddr *)&bound, &n_bytes) != 0)
        return bind_error(address, port, errno, err);
    *bound_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                    : ((struct sockaddr_in *)&bound)->sin_port);
    return GF_OK;
}
