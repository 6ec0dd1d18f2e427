#include "net/test_support.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace weir::net::test {
namespace {

bool readable(int fd) {
    pollfd one{fd, POLLIN, 0};
    const auto patience = std::chrono::milliseconds(kPatience);
    return ::poll(&one, 1, static_cast<int>(patience.count())) == 1;
}

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

TempFolder::TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-net-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

// ------------------------------------------------------------------------------------- RawPeer

RawPeer RawPeer::connect_tcp(uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(port);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return RawPeer(std::move(fd));
}

RawPeer RawPeer::connect_unix(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return RawPeer(std::move(fd));
}

bool RawPeer::try_send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
}

void RawPeer::send(std::string_view bytes) const {
    (void)try_send(bytes);  // whoever refuses bytes may have closed before the last of them
}

std::string RawPeer::read_some() const {
    if (!kept_.empty()) {
        return std::exchange(kept_, {});
    }
    if (!readable(fd_.get())) {
        ADD_FAILURE() << "the other end neither sends nor closes";
        return {};
    }
    char buffer[16384];
    const ssize_t count = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : std::string();
}

std::string RawPeer::read_to_end() const {
    std::string all;
    for (std::string part = read_some(); !part.empty(); part = read_some()) {
        all += part;
    }
    return all;
}

std::string RawPeer::read_until(std::string_view mark) const {
    std::string all;
    while (all.find(mark) == std::string::npos) {
        const std::string part = read_some();
        if (part.empty()) {
            return all;
        }
        all += part;
    }
    const size_t end = all.find(mark) + mark.size();
    kept_ = all.substr(end);
    return all.substr(0, end);
}

std::string RawPeer::read_request() const {
    std::string request = read_until("\r\n\r\n");
    const std::string_view name = "Content-Length: ";
    const size_t at = request.find(name);
    if (at == std::string::npos) {
        return request;
    }
    size_t length = 0;
    std::from_chars(request.data() + at + name.size(), request.data() + request.size(), length);
    std::string body;
    while (body.size() < length) {
        const std::string part = read_some();
        if (part.empty()) {
            break;
        }
        body += part;
    }
    if (body.size() > length) {
        kept_ = body.substr(length);
        body.resize(length);
    }
    return request + body;
}

void RawPeer::half_close() const {
    ::shutdown(fd_.get(), SHUT_WR);
}

void RawPeer::reset() {
    const linger now{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close();
}

void RawPeer::shrink_receive_buffer() const {
    const int bytes = 4096;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

// ------------------------------------------------------------------------------ ScriptedServer

ScriptedServer::ScriptedServer(std::function<void(RawPeer&)> script)
    : script_(std::move(script)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof(address);
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0);
    EXPECT_EQ(::listen(listening_.get(), 64), 0);
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &bytes);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ::shutdown(listening_.get(), SHUT_RDWR);  // wakes accept()
    acceptor_.join();
}

void ScriptedServer::accept_all() {
    while (true) {
        const int fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        const std::lock_guard lock(mutex_);
        if (fd < 0 || stopping_) {
            if (fd >= 0) {
                ::close(fd);
            }
            return;
        }
        threads_.emplace_back([this, peer = RawPeer(UniqueFd(fd))]() mutable { script_(peer); });
    }
}

TcpPeer ScriptedServer::peer() const {
    return {{Scheme::Http, "127.0.0.1", port_}, {}};
}

int ScriptedServer::connections() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(threads_.size());
}

// ----------------------------------------------------------------------------------- recorders

void Signal::raise() {
    const std::lock_guard lock(mutex_);
    raised_ = true;
    changed_.notify_all();
}

bool Signal::wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [this] { return raised_; });
}

void RecordingSink::on_head(HttpResponseHead head) {
    const std::lock_guard lock(mutex_);
    head_ = std::move(head);
    changed_.notify_all();
}

void RecordingSink::on_body(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    body_ += bytes;
    changed_.notify_all();
}

void RecordingSink::on_end() {
    if (then) {
        then();
    }
    const std::lock_guard lock(mutex_);
    ++ends_;
    changed_.notify_all();
}

void RecordingSink::on_failure(HttpFailure failure) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
    ++ends_;
    changed_.notify_all();
}

bool RecordingSink::wait_for_end() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [this] { return ends_ > 0; });
}

bool RecordingSink::wait_for_body(std::string_view begin) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return body_.starts_with(begin); });
}

int RecordingSink::status() const {
    const std::lock_guard lock(mutex_);
    return head_.status;
}

std::string RecordingSink::body() const {
    const std::lock_guard lock(mutex_);
    return body_;
}

std::optional<std::string> RecordingSink::header(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto value = head_.headers.find(name);
    return value ? std::optional(std::string(*value)) : std::nullopt;
}

std::optional<HttpFailure> RecordingSink::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

int RecordingSink::ends() const {
    const std::lock_guard lock(mutex_);
    return ends_;
}

std::shared_ptr<RecordingSink> fetch(HttpClient& client, const TcpPeer& peer,
                                     HttpClientRequest request) {
    auto sink = std::make_shared<RecordingSink>();
    client.send(peer, std::move(request), policy::Gate::permit(peer.origin.text()), sink);
    EXPECT_TRUE(sink->wait_for_end());
    return sink;
}

// -------------------------------------------------------------------------------- certificates

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() {
    return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    ASSERT_NE(extension, nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

constexpr long kDay = 24 * 3600;

Certificate make_certificate(const std::string& common_name, EVP_PKEY* key, long from, long to) {
    Certificate certificate(X509_new(), X509_free);
    X509_set_version(certificate.get(), X509_VERSION_3);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), to);
    X509_set_pubkey(certificate.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                               0);
    return certificate;
}

void write_pem(const std::string& path, const std::function<void(BIO*)>& write) {
    BIO* file = BIO_new_file(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    write(file);
    BIO_free(file);
}

}  // namespace

CertificateFiles make_certificates(const TempFolder& folder, const CertificateWish& wish) {
    const Key ca_key = make_key();
    const Certificate ca = make_certificate("Test CA", ca_key.get(), -kDay, kDay);
    X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get()));
    add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(ca.get(), ca_key.get(), EVP_sha256());

    const Key key = make_key();
    const Certificate leaf = make_certificate("leaf", key.get(), wish.expired ? -2 * kDay : -kDay,
                                              wish.expired ? -kDay : kDay);
    X509* issuer = wish.self_signed ? leaf.get() : ca.get();
    X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
    const bool address = wish.name.starts_with("IP:");
    add_extension(leaf.get(), issuer, NID_subject_alt_name,
                  address ? wish.name : "DNS:" + wish.name);
    X509_sign(leaf.get(), wish.self_signed ? key.get() : ca_key.get(), EVP_sha256());

    const CertificateFiles files{{folder.path("cert.pem"), folder.path("key.pem")},
                                 folder.path("ca.pem")};
    write_pem(files.ca_file, [&](BIO* out) { PEM_write_bio_X509(out, ca.get()); });
    write_pem(files.server.certificate_chain_file,
              [&](BIO* out) { PEM_write_bio_X509(out, leaf.get()); });
    write_pem(files.server.private_key_file, [&](BIO* out) {
        PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
}

}  // namespace weir::net::test
