#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "server/config.h"

namespace weir::server {

struct ServeOptions {
    Config config;
    std::filesystem::path home;     // $WEIR_HOME: database, sockets, lock
    std::filesystem::path program;  // this program, to start workers
    // Called once everything listens, with where.
    std::function<void(const std::string& address, uint16_t port)> on_ready;
};

// Runs the gateway until SIGTERM, SIGINT or `weir stop`: then it drains (new requests get 503 from
// /ready's readers and nothing new is accepted), ends the workers and returns. A second signal ends
// it at once. Only one gateway may run on one home.
//
// Blocks SIGTERM and SIGINT in the calling thread: call it from main, before other threads exist.
Result<void> serve(ServeOptions options);

// $WEIR_HOME, else $HOME/.local/share/weir.
std::filesystem::path default_home();

// The Unix socket on which `weir ps`, `stop` and `spend` talk to a running gateway.
std::filesystem::path admin_socket(const std::filesystem::path& home);

}  // namespace weir::server
