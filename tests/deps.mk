# What kedge is built and tested with, by Debian's package names.
DEPS_BUILD := gcc make pkg-config libc6-dev libgit2-dev libyaml-dev libcurl4-gnutls-dev \
	libinotifytools0-dev libevent-dev libmicrohttpd-dev libwslay-dev libjansson-dev \
	libsqlite3-dev libmnl-dev libnetfilter-conntrack-dev libseccomp-dev libcap-ng-dev \
	libarchive-dev libisal-dev zlib1g-dev libzstd-dev libgnutls28-dev nettle-dev libldns-dev
DEPS_RUN := iptables iproute2
DEPS_DEMO := git curl jq
DEPS_TEST := libcmocka-dev bats nftables perl socat busybox-static zstd skopeo umoci buildah docker-registry openssl openssh-server openssh-client conntrack procps bind9-dnsutils python3-kubernetes \
	clang-format clang-tidy cppcheck

# $(1): packages.  Says their names where there is no apt-get.
define install_missing
	@missing=; for p in $(1); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	command -v kubectl >/dev/null || missing="$$missing $(2)"; \
	if [ -n "$$(echo $$missing)" ]; then \
		command -v apt-get >/dev/null || { \
			echo "This needs, by Debian's names:$$missing"; \
			echo "Fedora: libgit2-devel libyaml-devel libcurl-devel inotify-tools-devel libevent-devel libmicrohttpd-devel \
wslay-devel jansson-devel sqlite-devel libmnl-devel libnetfilter_conntrack-devel libseccomp-devel libcap-ng-devel \
libarchive-devel libzstd-devel gnutls-devel nettle-devel ldns-devel iptables nftables iproute jq bats libcmocka-devel"; exit 1; }; \
		echo "installing:$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

## make deps       installs what is missing with apt-get
deps:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_DEMO) $(DEPS_TEST),kubernetes-client)
demo-deps:
	$(call install_missing,$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_DEMO),)
