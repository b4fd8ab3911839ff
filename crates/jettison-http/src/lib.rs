//! HTTP client: retries, proxies, private CAs, checked downloads.
