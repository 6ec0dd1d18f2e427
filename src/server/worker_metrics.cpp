#include "server/worker_metrics.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/check.h"
#include "base/metrics.h"

namespace weir::server {
namespace {

// "# TYPE NAME kind", "NAME{labels} value" and "NAME_bucket{…} value" all belong to NAME: the name
// of the TYPE line above.
struct Family {
    std::string head;
    std::string samples;
};

class Page final : public net::HttpSink {
  public:
    using Ready = std::function<void(std::string)>;
    explicit Page(Ready ready) : ready_(std::move(ready)) {}

    void on_head(net::HttpResponseHead head) override { good_ = head.status == 200; }
    void on_body(std::string_view bytes) override { text_ += bytes; }
    void on_end() override { ready_(good_ ? std::move(text_) : std::string()); }
    void on_failure(net::HttpFailure) override { ready_({}); }

  private:
    Ready ready_;
    std::string text_;
    bool good_ = false;
};

struct Gathering {
    std::vector<std::string> texts;
    size_t waiting = 0;
    std::function<void(std::string)> done;
};

}  // namespace

std::string house_metrics(const ledger::LedgerStats& ledger, uint64_t bugs) {
    metrics::Registry registry;
    registry.counter(kBugsMetric, kBugsHelp).set(bugs);
    registry.counter("weir_ledger_entries_written_total", "Requests that have been booked")
        .set(ledger.written);
    registry
        .counter("weir_ledger_entries_failed_total",
                 "Requests that could not be booked before their answers ended")
        .set(ledger.failed);
    registry.counter("weir_ledger_entries_lost_total", "Requests that never will be booked")
        .set(ledger.lost);
    registry
        .gauge("weir_ledger_entries_kept",
               "Requests whose answers have ended and that wait to be booked")
        .set(static_cast<double>(ledger.kept));
    return registry.text();
}

std::string join_expositions(const std::vector<std::string>& texts) {
    std::map<std::string, Family, std::less<>> families;
    for (const std::string& text : texts) {
        Family* family = nullptr;
        bool first_time = false;
        for (size_t at = 0; at < text.size();) {
            const size_t end = std::min(text.find('\n', at), text.size());
            const std::string_view line = std::string_view(text).substr(at, end - at);
            at = end + 1;
            constexpr std::string_view kHelp = "# HELP ";
            const bool comment = line.starts_with('#');
            if (line.starts_with(kHelp)) {
                const std::string_view rest = line.substr(kHelp.size());
                const std::string name(rest.substr(0, rest.find(' ')));
                first_time = !families.contains(name);
                family = &families[name];
            }
            if (family == nullptr || line.empty()) {
                continue;
            }
            std::string& target = comment ? family->head : family->samples;
            if (!comment || first_time) {
                target.append(line).push_back('\n');
            }
        }
    }
    std::string out;
    for (const auto& [name, family] : families) {
        out += family.head + family.samples;
    }
    return out;
}

void collect_metrics(Gateway& gateway, WorkerPool& workers, net::HttpClient& client,
                     std::function<void(std::string)> done) {
    const auto gathering = std::make_shared<Gathering>();
    gathering->texts.push_back(gateway.metrics.text());
    gathering->texts.push_back(house_metrics(gateway.ledger->stats(), bug_count()));
    gathering->done = std::move(done);
    const auto strand = gateway.strand;
    workers.status([gathering, strand, &client](const std::vector<WorkerStatus>& all) {
        const auto take = [gathering, strand](std::string text) {
            strand->dispatch([gathering, text = std::move(text)]() mutable {
                gathering->texts.push_back(std::move(text));
                if (--gathering->waiting == 0) {
                    gathering->done(join_expositions(gathering->texts));
                }
            });
        };
        std::vector<std::string> sockets;
        for (const WorkerStatus& worker : all) {
            if (!worker.socket.empty()) {
                sockets.push_back(worker.socket);
            }
        }
        gathering->waiting = sockets.size() + 1;
        for (const std::string& socket : sockets) {
            net::HttpClientRequest request{.method = "GET", .target = "/metrics"};
            request.limits.total_max = std::chrono::seconds(1);
            client.send_unix(socket, std::move(request), std::make_shared<Page>(take));
        }
        take({});  // even without workers there is an answer
    });
}

}  // namespace weir::server
