#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/transport.h"

// Listening sockets by plain system calls: with Asio's the mode of a Unix socket and the
// close-on-exec flag could only be set after the fact.
namespace weir::net {
namespace {

constexpr int kBacklog = 1024;
constexpr mode_t kOwnerOnly = 0600;

std::unexpected<Error> cannot(std::string_view what) {
    return fail(errno == EADDRINUSE ? ErrorCode::Conflict : ErrorCode::Unavailable, "cannot {}: {}",
                what, std::strerror(errno));
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t bytes = 0;

    sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
};

Result<SocketAddress> parse_address(const std::string& address, uint16_t port) {
    SocketAddress out;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out.bytes = sizeof(sockaddr_in);
        return out;
    }
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out.bytes = sizeof(sockaddr_in6);
        return out;
    }
    return invalid_argument("address", "'{}' is no numeric IP address", address);
}

Result<SocketAddress> unix_address(const std::string& path) {
    SocketAddress out;
    auto* address = reinterpret_cast<sockaddr_un*>(&out.storage);
    if (path.empty() || path.size() >= sizeof(address->sun_path)) {
        return invalid_argument("path", "a Unix socket's path has 1 to {} bytes, this one {}",
                                sizeof(address->sun_path) - 1, path.size());
    }
    address->sun_family = AF_UNIX;
    std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
    out.bytes = static_cast<socklen_t>(sizeof(sockaddr_un));
    return out;
}

UniqueFd open_socket(int family) {
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? UniqueFd() : UniqueFd(fd);
}

// A socket file that nobody listens on any more is removed; anything else in its place stays.
Result<void> remove_stale_socket(const std::string& path, SocketAddress address) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) {
        return {};
    }
    if (!S_ISSOCK(info.st_mode)) {
        return fail(ErrorCode::Conflict, "cannot listen: a file that is no socket is in the way");
    }
    const UniqueFd probe = open_socket(AF_UNIX);
    if (!probe.is_open()) {
        return cannot("open a socket");
    }
    if (::connect(probe.get(), address.raw(), address.bytes) == 0 || errno == EAGAIN) {
        return fail(ErrorCode::Conflict, "cannot listen: another process listens on this socket");
    }
    if (errno == ECONNREFUSED && ::unlink(path.c_str()) != 0) {
        return cannot("remove a stale socket");
    }
    return {};
}

}  // namespace

Result<Listening> bind_tcp(const std::string& address, uint16_t port) {
    WEIR_TRY_ASSIGN(SocketAddress target, parse_address(address, port));
    Listening out{open_socket(target.storage.ss_family), 0};
    if (!out.fd.is_open()) {
        return cannot("open a socket");
    }
    const int on = 1;
    ::setsockopt(out.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(out.fd.get(), target.raw(), target.bytes) != 0) {
        return cannot(fmt::format("listen on port {}", port));
    }
    if (::listen(out.fd.get(), kBacklog) != 0) {
        return cannot(fmt::format("listen on port {}", port));
    }
    if (::getsockname(out.fd.get(), target.raw(), &target.bytes) != 0) {
        return cannot("learn the bound port");
    }
    // The port lies at the same place in both kinds of address.
    out.port = ntohs(reinterpret_cast<sockaddr_in*>(&target.storage)->sin_port);
    return out;
}

Result<Listening> bind_unix(const std::string& path) {
    WEIR_TRY_ASSIGN(SocketAddress target, unix_address(path));
    WEIR_TRY(remove_stale_socket(path, target));
    Listening out{open_socket(AF_UNIX), 0};
    if (!out.fd.is_open()) {
        return cannot("open a socket");
    }
    // Linux gives the file the mode of the socket's own inode: so there is no moment at which
    // another user could connect, and the process's umask is left alone.
    if (::fchmod(out.fd.get(), kOwnerOnly) != 0 ||
        ::bind(out.fd.get(), target.raw(), target.bytes) != 0 ||
        ::listen(out.fd.get(), kBacklog) != 0) {
        return cannot("listen on a Unix socket");
    }
    return out;
}

}  // namespace weir::net
