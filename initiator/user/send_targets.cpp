// SPDX-License-Identifier: GPL-2.0-or-later
// A discovery session by libiscsi: see send_targets.h.
#include "user/send_targets.h"

#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <cerrno>
#include <cstring>
#include <memory>

#include "user/failure.h"

namespace hawser::user {
namespace {

using Clock = std::chrono::steady_clock;

// The functions of libiscsi that are used, by their own types.
class Library {
public:
    Library() : handle_(dlopen("libiscsi.so.7", RTLD_NOW | RTLD_LOCAL)) {
        if (handle_ == nullptr) {
            throw Failure("no libiscsi", "libiscsi.so.7", "install Debian's libiscsi7");
        }
        find(create_context, "iscsi_create_context");
        find(destroy_context, "iscsi_destroy_context");
        find(set_session_type, "iscsi_set_session_type");
        find(set_noautoreconnect, "iscsi_set_noautoreconnect");
        find(set_user, "iscsi_set_initiator_username_pwd");
        find(set_target_user, "iscsi_set_target_username_pwd");
        find(get_error, "iscsi_get_error");
        find(get_fd, "iscsi_get_fd");
        find(which_events, "iscsi_which_events");
        find(service, "iscsi_service");
        find(connect, "iscsi_connect_async");
        find(login, "iscsi_login_async");
        find(discover, "iscsi_discovery_async");
        find(logout, "iscsi_logout_async");
    }

    decltype(&iscsi_create_context) create_context = nullptr;
    decltype(&iscsi_destroy_context) destroy_context = nullptr;
    decltype(&iscsi_set_session_type) set_session_type = nullptr;
    decltype(&iscsi_set_noautoreconnect) set_noautoreconnect = nullptr;
    decltype(&iscsi_set_initiator_username_pwd) set_user = nullptr;
    decltype(&iscsi_set_target_username_pwd) set_target_user = nullptr;
    decltype(&iscsi_get_error) get_error = nullptr;
    decltype(&iscsi_get_fd) get_fd = nullptr;
    decltype(&iscsi_which_events) which_events = nullptr;
    decltype(&iscsi_service) service = nullptr;
    decltype(&iscsi_connect_async) connect = nullptr;
    decltype(&iscsi_login_async) login = nullptr;
    decltype(&iscsi_discovery_async) discover = nullptr;
    decltype(&iscsi_logout_async) logout = nullptr;

private:
    template <typename Function>
    void find(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(handle_, name));
        if (function == nullptr) throw Failure("libiscsi lacks a function", name, "update it");
    }
    void* handle_;  // until the program's end
};

class Discovery {
public:
    explicit Discovery(const DiscoveryRequest& request)
        : request_(request),
          deadline_(Clock::now() + request.timeout),
          context_(library_.create_context(request.initiator.c_str()), library_.destroy_context) {
        if (!context_) fail("cannot begin a discovery", "out of memory");
    }

    std::vector<SentTarget> run();

private:
    [[noreturn]] void fail(const char* cause, const std::string& advice) const {
        throw Failure(cause, request_.portal.to_string(), advice);
    }
    std::string error() const {
        if (!done_) return "no answer";
        if (socket_error_ != 0) return std::strerror(socket_error_);
        std::string_view text = library_.get_error(context_.get());
        while (text.ends_with('\n')) text.remove_suffix(1);
        return text.empty() ? "libiscsi does not say why" : printable(text);
    }
    void give_credentials();
    // One step: begins it, and serves the socket until it is over. False: it failed.
    template <typename Begin>
    bool step(Begin begin);
    static void take(struct iscsi_context*, int status, void* data, void* self);

    const DiscoveryRequest& request_;
    const Library library_;
    const Clock::time_point deadline_;
    std::unique_ptr<struct iscsi_context, int (*)(struct iscsi_context*)> context_;
    bool done_ = false;
    bool discovering_ = false;
    int status_ = 0;
    int socket_error_ = 0;
    std::vector<SentTarget> targets_;
};

void Discovery::take(struct iscsi_context*, int status, void* data, void* self) {
    auto& discovery = *static_cast<Discovery*>(self);
    discovery.done_ = true;
    discovery.status_ = status;
    if (!discovery.discovering_ || status != SCSI_STATUS_GOOD) return;
    const auto* target = static_cast<const struct iscsi_discovery_address*>(data);
    for (; target != nullptr; target = target->next) {
        SentTarget& sent = discovery.targets_.emplace_back();
        if (target->target_name != nullptr) sent.name = target->target_name;
        for (const auto* portal = target->portals; portal != nullptr; portal = portal->next) {
            if (portal->portal != nullptr) sent.addresses.emplace_back(portal->portal);
        }
    }
}

template <typename Begin>
bool Discovery::step(Begin begin) {
    done_ = false;
    status_ = SCSI_STATUS_ERROR;
    if (begin(context_.get(), &Discovery::take, this) != 0) {
        done_ = true;
        return false;
    }
    while (!done_) {
        using std::chrono::milliseconds;
        const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now());
        if (left.count() <= 0) return false;
        struct pollfd poll_fd {};
        poll_fd.fd = library_.get_fd(context_.get());
        poll_fd.events = static_cast<short>(library_.which_events(context_.get()));
        // Without events libiscsi asks to be called again after a while.
        const auto wait = poll_fd.events == 0 ? std::min(left, milliseconds(100)) : left;
        if (poll(&poll_fd, 1, static_cast<int>(wait.count())) < 0 && errno != EINTR) {
            fail("cannot wait for the portal", std::strerror(errno));
        }
        // libiscsi says of it only that it does not reconnect.
        socklen_t length = sizeof(socket_error_);
        if ((poll_fd.revents & POLLERR) != 0)
            getsockopt(poll_fd.fd, SOL_SOCKET, SO_ERROR, &socket_error_, &length);
        if (socket_error_ != 0) {
            done_ = true;
            return false;
        }
        if (library_.service(context_.get(), poll_fd.revents) != 0 && !done_) {
            done_ = true;
            return false;
        }
    }
    return status_ == SCSI_STATUS_GOOD;
}

// libiscsi takes C strings.
void Discovery::give_credentials() {
    const ChapCredentials& chap = request_.chap;
    if (!chap.is_set()) return;
    for (const Secret* secret : {&chap.secret, &chap.secret_in}) {
        if (secret->bytes().find('\0') != std::string::npos ||
            secret->bytes().size() >= MAX_STRING_SIZE)
            fail("CHAP secret is of no use to a discovery",
                 "libiscsi takes up to 254 bytes and no NUL");
    }
    bool good =
        library_.set_user(context_.get(), chap.name.c_str(), chap.secret.bytes().c_str()) == 0;
    if (chap.is_mutual())
        good = good && library_.set_target_user(context_.get(), chap.name_in.c_str(),
                                                chap.secret_in.bytes().c_str()) == 0;
    if (!good) fail("libiscsi does not take the CHAP name or secret", error());
}

std::vector<SentTarget> Discovery::run() {
    const std::string portal = request_.portal.to_string();
    library_.set_session_type(context_.get(), ISCSI_SESSION_DISCOVERY);
    library_.set_noautoreconnect(context_.get(), 1);
    give_credentials();
    const bool connected = step([&](auto* context, auto callback, void* self) {
        return library_.connect(context, portal.c_str(), callback, self);
    });
    if (!connected) fail("cannot connect", error());
    if (!step(library_.login)) fail("login refused", error());
    discovering_ = true;
    const bool listed = step([&](auto* context, auto callback, void* self) {
        return library_.discover(context, callback, self);
    });
    discovering_ = false;
    if (!listed) fail("no list of targets", error());
    step(library_.logout);  // the list is here, however this ends
    return std::move(targets_);
}

}  // namespace

std::vector<SentTarget> send_targets(const DiscoveryRequest& request) {
    return Discovery(request).run();
}

}  // namespace hawser::user
