#pragma once

#include <cstddef>
#include <memory>
#include <stop_token>

#include "base/clock.h"
#include "chat/backend.h"
#include "net/http_client.h"
#include "server/worker_pool.h"

namespace weir::server {

// A local model in its worker process.
//
// Rescue. A worker may die while it answers. Its answers are a function of the request and its seed
// (promise 2), order of events included, so a new worker is asked the same again, and as many
// events as were already passed on are dropped: the client sees one answer, to the byte. That the
// dropped events say the same is checked; if they did not, the answer ends with an error.
//
// A request may also be what its workers die of. So the second death ends an answer that has not
// begun, and the third one that has; with the reason "worker_died", which nobody tries again
// (router::is_worth_another_try).
//
// Threads: any. Ownership: borrows pool, client and clock.
class WorkerBackend final : public chat::ChatBackend {
  public:
    WorkerBackend(WorkerPool& pool, size_t index, net::HttpClient& client, const Clock& clock);

    void start(std::shared_ptr<const chat::ChatRequest> request,
               std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) override;

  private:
    WorkerPool& pool_;
    size_t index_;
    net::HttpClient& client_;
    const Clock& clock_;
};

}  // namespace weir::server
