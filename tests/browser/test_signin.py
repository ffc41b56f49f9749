"""The sign-in page where an OpenID provider is configured, as a person sees it."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from tests.stack import running


async def test_button_of_a_provider_that_is_away_leads_back_with_a_word_in_both_languages(browser: Browser) -> None:
    provider = {"ISSUER": "http://127.0.0.1:1", "CLIENT_ID": "smartvoice", "NAME": "Example"}
    with running(**{f"SMARTVOICE_OIDC_{name}": value for name, value in provider.items()}) as stack:
        context = await browser.new_context(base_url=stack.address, locale="en-GB")
        page = await context.new_page()
        await page.goto("/signin?next=/projects/abc")
        button = page.get_by_role("link", name="Sign in with Example")
        await expect(button).to_have_attribute("href", "/auth/oidc/login?next=%2Fprojects%2Fabc")
        await button.click()
        await page.wait_for_url("**/signin?problem=provider_unavailable")
        await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        await page.locator("#language").click()
        await expect(page.get_by_role("alert")).to_contain_text("登录服务")
        await expect(page.get_by_role("link", name="使用 Example 登录")).to_be_visible()
        await context.close()
