import { expect, expectTypeOf, test } from "vitest";
import { createServices, serviceKey } from "./services.ts";

interface Greeter {
  greet(): string;
}
const greeter = serviceKey<Greeter>("greeter");

test("what one side provides the other finds, by its key and with its type", () => {
  const services = createServices();
  expect(services.find(greeter)).toBeUndefined();
  services.provide(greeter, { greet: () => "hello" });
  const found = services.find(greeter);
  expectTypeOf(found).toEqualTypeOf<Greeter | undefined>();
  expect(found?.greet()).toBe("hello");
  expect(services.find(serviceKey("another"))).toBeUndefined();
});

test("a service has one provider", () => {
  const services = createServices();
  services.provide(greeter, { greet: () => "hello" });
  expect(() => services.provide(greeter, { greet: () => "good day" })).toThrow(
    expect.objectContaining({ code: "X0_CORE_SERVICE_TAKEN" }),
  );
  expect(services.find(greeter)?.greet()).toBe("hello");
});
