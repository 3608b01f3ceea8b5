"use strict";
(() => {
  const main = document.querySelector("main");
  const { accounts, request, email: returnedEmail, token: returnedToken } = main.dataset;
  const message = main.querySelector(".message[role=alert]");
  const form = main.querySelector("form");
  const closed = new Set(["done", "declined", "expired", "failed"]);

  function show(state) {
    main.dataset.state = state;
    for (const section of main.querySelectorAll("[data-view]")) {
      section.hidden = !section.dataset.view.split(" ").includes(state);
    }
  }

  function turnTo(state) {
    show(state);
    const shown = main.querySelector("[data-view]:not([hidden])");
    shown?.querySelector("input, a.button, h2")?.focus();
  }

  function fail(text) {
    if (returnedToken) {
      main.querySelector(".reason").textContent = text;
      turnTo("failed");
    } else {
      turnTo("sign-in");
      message.textContent = text;
      if (form?.elements.email.value) form.elements.password.focus();
    }
  }

  const texts = {
    WRONG_EMAIL_OR_PASSWORD_DETECTED: "The e-mail address or the password is wrong.",
    GOOGLE_OAUTH2_USER_INFO_ERROR_DETECTED: "This proof of who you are was not accepted.",
    EMAIL_MISMATCH_DETECTED: "This proof of who you are is for another e-mail address.",
    ACCESS_DENIED: "This account may not sign in here.",
    BODY_DID_NOT_VALIDATE: "Enter your e-mail address and your password.",
  };

  async function attach(command, body) {
    turnTo("wait");
    let status = 0;
    let answer = {};
    try {
      const response = await fetch(`${accounts}auth_requests/${command}/`, {
        method: "POST",
        credentials: "omit",
        referrerPolicy: "origin",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ request_uuid: request, ...body }),
      });
      status = response.status;
      answer = await response.json();
    } catch {
      fail("The server cannot be reached. Try again in a moment.");
      return;
    }
    const event = answer["@event"];
    if (status === 200) turnTo("done");
    else if (event === "EXPIRED_AUTH_REQUEST_DETECTED" || event === "COULD_NOT_FIND_AUTHREQUEST") turnTo("expired");
    else if (status === 429) fail(`Too many attempts. Try again in ${answer.retry_after} s.`);
    else fail(texts[event] ?? "The server cannot do this now. Try again in a moment.");
  }

  const actions = {
    yes: () => {
      if (returnedToken) attach("attach_account", { oauth_token: returnedToken, email: returnedEmail });
      else turnTo("sign-in");
    },
    no: () => turnTo("declined"),
  };
  for (const button of main.querySelectorAll("[data-do]")) {
    button.addEventListener("click", actions[button.dataset.do]);
  }

  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    message.textContent = "";
    const { email, password } = form.elements;
    const typed = { email: email.value.trim(), password: password.value };
    password.value = "";
    attach("attach_password", typed);
  });

  // An issuer does not let itself be framed: from beside a cell it opens in a tab of its own.
  if (window.top !== window.self) {
    for (const link of main.querySelectorAll(".providers a")) {
      link.target = "_blank";
      link.rel = "noopener";
      link.addEventListener("click", () => turnTo("elsewhere"));
    }
  }

  for (const time of main.querySelectorAll("time")) {
    const date = new Date(time.dateTime);
    const isToday = date.toDateString() === new Date().toDateString();
    time.textContent = isToday ? date.toLocaleTimeString() : date.toLocaleString();
  }

  if (request) {
    setTimeout(() => closed.has(main.dataset.state) || turnTo("expired"), Number(main.dataset.secondsLeft) * 1000);
  }

  window.onGoogleLibraryLoad = () => {
    const { googleClient, googleNonce } = main.dataset;
    google.accounts.id.initialize({
      client_id: googleClient,
      nonce: googleNonce,
      auto_select: false,
      callback: ({ credential }) => {
        const part = credential.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
        const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
        const { email } = JSON.parse(new TextDecoder().decode(bytes));
        attach("attach_account", { oauth_token: credential, email });
      },
    });
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "filled_black" : "outline";
    google.accounts.id.renderButton(main.querySelector(".google"), { theme, size: "large", text: "continue_with" });
  };

  show(main.dataset.state);
})();
